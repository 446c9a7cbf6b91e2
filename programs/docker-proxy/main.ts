// docker-proxy: one published port of one container, for the original dockerd, which starts one per port and family.
// (Our own dockerd has none: docker-net proxies all ports in one process, with the same code.)
//
//     start ─▶ bind ─▶ "0\n" on descriptor 3 ─▶ forward ... ─▶ SIGTERM or SIGINT: 0
//               └─ refused: "1\n<why>" on descriptor 3, exit code 1

import { encodeUtf8 } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import { forward } from "../../core/proxy/forwarder.ts";
import { CopyBuffer } from "../../core/proxy/tcp.ts";
import type { Door } from "../../linux/door.ts";
import { errnoSentence, SyscallFailure } from "../../linux/errno.ts";
import { close, Fd, isOpen, setCloseOnExec, setNonBlocking, writeAll } from "../../linux/fd.ts";
import { bindUdp, formatEndpoint, listenTcp } from "../../linux/inet.ts";
import { raiseFileLimit } from "../../linux/resource.ts";
import { SIGPIPE, setDisposition } from "../../linux/signal.ts";
import { openDoor, type QuickJsRuntime, start } from "../../runtime/quickjs/runtime.ts";
import { Ending, type Options, readOptions } from "./options.ts";

/** Inherited descriptors, by agreement with dockerd. */
const STATUS_PIPE = 3;
const LISTEN_FD = 4;

export function main(door: Door): void {
  openDoor(door);
  // Looked at before anything is opened: run by hand there is no pipe, and the number would be given to a file of ours.
  const status = isOpen(STATUS_PIPE) ? STATUS_PIPE : null;
  start(door, (runtime) => run(runtime, status));
}

async function run(runtime: QuickJsRuntime, status: number | null): Promise<number> {
  let options: Options | Ending;
  let socket: Fd;
  // A write to the status pipe of a parent that is gone, or a splice to a peer that is, must not end us.
  setDisposition(SIGPIPE, "ignore");
  if (status !== null) setCloseOnExec(status, true);
  try {
    options = readOptions(runtime.programName, runtime.args);
    if (options instanceof Ending) {
      put(options.output, options.text);
      return options.code;
    }
    socket = open(options);
  } catch (thrown) {
    put(status, `1\n${messageOf(thrown)}`);
    put(2, `${messageOf(thrown)}\n`);
    return 1;
  }
  raiseFileLimit();
  const port = { protocol: options.protocol, socket, backend: options.container };
  using _forwarder = forward(runtime.loop, port, new CopyBuffer());
  put(status, "0\n");
  if (status !== null) close(status);
  await new Promise<void>((stop) => {
    for (const name of ["SIGINT", "SIGTERM"]) runtime.onSignal(name, stop);
  });
  return 0;
}

function open(options: Options): Fd {
  if (options.useListenFd) {
    setCloseOnExec(LISTEN_FD, true);
    setNonBlocking(LISTEN_FD, true);
    return new Fd(LISTEN_FD);
  }
  try {
    return options.protocol === "tcp" ? listenTcp(options.host) : bindUdp(options.host);
  } catch (thrown) {
    if (!(thrown instanceof SyscallFailure)) throw thrown;
    const family = options.host.address.length === 4 ? 4 : 6;
    const what = `listen ${options.protocol}${family} ${formatEndpoint(options.host)}`;
    throw new Error(`${what}: bind: ${errnoSentence(thrown.errno)}`);
  }
}

/** Nobody may be there to read it. */
function put(fd: number | null, text: string): void {
  if (fd === null) return;
  try {
    writeAll(fd, encodeUtf8(text));
  } catch {}
}
