// docker-net: the networks of one engine. It makes bridges, network namespaces and nftables tables, holds the published
// ports and proxies what the kernel does not map. dockerd starts it and talks to it (api/net); it outlives dockerd.
//
//     main ─▶ lock of the state directory ─▶ recover (records, kernel, ports) ─▶ socket ─▶ calls ... ─▶ Shutdown

import { encodeUtf8 } from "../../base/bytes.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import { FlagSet } from "../../base/flags/flagset.ts";
import type { Connection } from "../../base/runtime.ts";
import { CopyBuffer } from "../../core/proxy/tcp.ts";
import type { Door } from "../../linux/door.ts";
import { ECONNREFUSED, ENOENT, errnoOf } from "../../linux/errno.ts";
import { unlinkIfThere, writeAll } from "../../linux/fd.ts";
import { effectiveUser, setName } from "../../linux/process.ts";
import { raiseFileLimit } from "../../linux/resource.ts";
import { SIGPIPE, setDisposition } from "../../linux/signal.ts";
import { connectUnix, listenUnix } from "../../linux/socket.ts";
import { type QuickJsRuntime, start } from "../../runtime/quickjs/runtime.ts";
import { SocketListener } from "../../runtime/quickjs/stream.ts";
import { TtrpcServer } from "../../wire/ttrpc/server.ts";
import { Bridges, Kernel } from "./bridges.ts";
import { Connections } from "./connections.ts";
import { Departures } from "./departures.ts";
import { Endpoints } from "./endpoints.ts";
import { Ports } from "./ports.ts";
import { Records } from "./records.ts";
import { registerNet, VERSION } from "./serve/net.ts";

export function main(door: Door): void {
  start(door, run);
}

async function run(runtime: QuickJsRuntime): Promise<number> {
  const flags = new FlagSet("pflag");
  const socket = flags.string("socket", "", "path of the socket to serve on");
  const state = flags.string("state", "", "directory of the state");
  const version = flags.bool("version", "", "print the version");
  flags.parse([...runtime.args]);
  if (version.value) {
    await runtime.stdout.write(encodeUtf8(`docker-net version ${VERSION}\n`));
    return 0;
  }
  if (socket.value === "" || state.value === "") {
    throw new Failure("invalid_argument", "--socket and --state are needed (this program is started by dockerd)");
  }
  setName("docker-net");
  // splice into a socket whose peer went would end the process.
  setDisposition(SIGPIPE, "ignore");
  raiseFileLimit();
  return serve(runtime, socket.value, new Records(state.value));
}

async function serve(runtime: QuickJsRuntime, path: string, records: Records): Promise<number> {
  const kernel = new Kernel();
  const bridges = new Bridges(kernel, records);
  const ports = new Ports(runtime.loop, new CopyBuffer());
  const departures = new Departures(runtime.loop, kernel.route);
  const connections = new Connections(runtime.loop, kernel.conntrack);
  const endpoints = new Endpoints({ kernel, records, bridges, ports, departures, connections });
  for (const sentence of endpoints.recover()) say(`a published port was taken while docker-net was away: ${sentence}`);
  for (const bridge of bridges.list()) restore(bridges, bridge, endpoints);
  using listener = listen(runtime, path);
  const server = new TtrpcServer(runtime.clock);
  registerNet(server, { bridges, endpoints, departures, ended: () => listener.close() });
  // Everything stays in the kernel, for the next docker-net to find.
  for (const name of ["SIGTERM", "SIGINT"]) runtime.onSignal(name, () => listener.close());
  await server.serve(listener, (connection) => mayCall(connection));
  unlinkIfThere(path);
  return 0;
}

/** A bridge whose interface vanished is made again; what cannot be restored is said and left for EnsureBridge. */
function restore(bridges: Bridges, bridge: { name: string; isolated: boolean }, endpoints: Endpoints): void {
  try {
    const wish = { name: bridge.name, subnet: "", gateway: "", mtu: 0, isolated: bridge.isolated };
    bridges.ensure(wish, endpoints.on(bridge.name));
  } catch (thrown) {
    say(`bridge ${bridge.name}: ${messageOf(thrown)}`);
  }
}

/** The lock on the state directory is ours; a socket of another program is left alone if it answers. */
function listen(runtime: QuickJsRuntime, path: string): SocketListener {
  try {
    connectUnix(path).close();
  } catch (thrown) {
    if (errnoOf(thrown) === ECONNREFUSED) unlinkIfThere(path);
    else if (errnoOf(thrown) !== ENOENT) throw thrown;
    return new SocketListener(runtime.loop, listenUnix(path, 0o600), true);
  }
  throw new Failure("failed_precondition", `another program listens on ${path}`);
}

function mayCall(connection: Connection): boolean {
  const uid = connection.peer?.uid;
  return uid === 0 || uid === effectiveUser();
}

/** stderr is dockerd's log, and may be gone with it. */
function say(sentence: string): void {
  try {
    writeAll(2, encodeUtf8(`docker-net: ${sentence}\n`));
  } catch {}
}
