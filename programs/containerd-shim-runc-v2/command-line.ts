// The shim's command line: Go's flag dialect, then an action (start, adopt, delete) or none.
//
// The flags of the first shim (containerd 1.0, named containerd-shim or docker-containerd-shim) are taken, too: those
// with a meaning here become the defaults of what a task's options leave open. What came before that, the arguments
// `<id> <bundle> <runtime>` without a protocol on a socket, is refused by name.

import type { Flag } from "../../base/flags/flagset.ts";
import { FlagError, FlagSet } from "../../base/flags/flagset.ts";

const ACTIONS = ["start", "adopt", "delete"];
const BEFORE_SOCKETS =
  "the arguments <id> <bundle> <runtime> are those of containerd before 1.0 (2017), whose shim spoke through FIFOs; " +
  "this one serves containerd 1.2 and later";

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
  defaults: TaskDefaults;
}

/** What a task gets where its options say nothing. */
export interface TaskDefaults {
  /** Where the runtime keeps its states; "" for the usual place. */
  root: string;
  systemdCgroup: boolean;
  /** Where criu works; "" for a place in the bundle. */
  criuWork: string;
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
  const first = firstShim(flags);
  const rest = flags.parse(args);
  if (rest.length === 3 && !ACTIONS.includes(rest[0]!)) throw new FlagError(BEFORE_SOCKETS);
  return {
    namespace: namespace.value,
    id: id.value,
    address: address.value,
    publishBinary: first.binary.value === "" ? publishBinary.value : first.binary.value,
    bundle: bundle.value,
    debug: debug.value,
    info: info.value,
    version: version.value,
    socket: socket.value,
    action: rest[0] ?? "",
    defaults: { root: first.root.value, systemdCgroup: first.systemd.value, criuWork: first.workdir.value },
  };
}

/** -criu is taken and means nothing: the runtime finds criu by its name. */
function firstShim(flags: FlagSet) {
  flags.string("criu", "", "path to criu binary");
  return {
    binary: flags.string("containerd-binary", "", "path to containerd binary (used for containerd publish)"),
    root: flags.string("runtime-root", "", "root directory for the runtime"),
    systemd: flags.bool("systemd-cgroup", "", "set runtime to use systemd-cgroup"),
    workdir: flags.string("workdir", "", "path used to storage large temporary data"),
  };
}
