// The shim's command line: Go's flag dialect, then an action (start, adopt, delete) or none.

import type { Flag } from "../../base/flags/flagset.ts";
import { FlagSet } from "../../base/flags/flagset.ts";

export interface CommandLine {
  /** The daemon's namespace. */
  namespace: string;
  id: string;
  /** The daemon's gRPC socket. */
  address: string;
  publishBinary: string;
  bundle: string;
  debug: boolean;
  info: boolean;
  version: boolean;
  /** A socket to listen on when serving by hand; "" to take descriptor 3. */
  socket: string;
  action: string;
}

/** Throws FlagError or HelpRequested. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const flags = new FlagSet("go");
  const text = (name: string, usage: string): Flag<string> => flags.string(name, "", usage);
  const namespace = text("namespace", "namespace that owns the shim");
  const id = text("id", "id of the task");
  const address = text("address", "grpc address back to main containerd");
  const publishBinary = flags.string("publish-binary", "", "path to publish binary", "containerd");
  const bundle = text("bundle", "path to the bundle if not workdir");
  const socket = text("socket", "socket path to serve");
  text("debug-socket", "debug socket path to serve");
  const debug = flags.bool("debug", "", "enable debug output in logs");
  const info = flags.bool(
    "info",
    "",
    "get the option protobuf from stdin, print the shim info protobuf to stdout, and exit",
  );
  const version = flags.bool("v", "version", "show the shim version and exit");
  const rest = flags.parse(args);
  return {
    namespace: namespace.value,
    id: id.value,
    address: address.value,
    publishBinary: publishBinary.value,
    bundle: bundle.value,
    debug: debug.value,
    info: info.value,
    version: version.value,
    socket: socket.value,
    action: rest[0] ?? "",
  };
}
