// The flags of `run` and `containers create` (the container), and those of whatever starts a task.

import { bool, type FlagSpec, float, int, list, text, uint } from "../cli/flag.ts";

export const SNAPSHOTTER: FlagSpec = text(
  "snapshotter",
  "snapshotter name. Empty value stands for the default value.",
  { env: "CONTAINERD_SNAPSHOTTER" },
);

const NS_USAGE = "specify existing Linux namespaces to join at container runtime (format '<nstype>:<path>')";
const MOUNT_USAGE = "specify additional container mount (e.g. type=bind,src=/tmp,dst=/host,options=rbind:ro)";
const DEVICE_USAGE =
  "file path to a device to add to the container; or a path to a directory tree of devices to add to the container";
const RDT_USAGE =
  "name of the RDT class to associate the container with. Specifies a Class of Service (CLOS) for cache and memory " +
  "bandwidth management.";
const SECCOMP_USAGE = "file path to custom seccomp profile. seccomp must be set to true, before using seccomp-profile";
const ENV_FILE_USAGE = "specify additional container environment variables in a file(e.g. FOO=bar, one per line)";

export const CONTAINER_FLAGS: readonly FlagSpec[] = [
  SNAPSHOTTER,
  list("snapshotter-label", "labels added to the new snapshot for this container."),
  text("config, c", "path to the runtime-specific spec config file"),
  text("cwd", "specify the working directory of the process"),
  list("env", "specify additional container environment variables (e.g. FOO=bar)"),
  text("env-file", ENV_FILE_USAGE),
  list("label", "specify additional labels (e.g. foo=bar)"),
  list("annotation", "specify additional OCI annotations (e.g. foo=bar)"),
  list("mount", MOUNT_USAGE),
  bool("net-host", "enable host networking for the container"),
  bool("privileged", "run privileged container"),
  bool("read-only", "set the containers filesystem as readonly"),
  text("runtime", "runtime name", { initial: "io.containerd.runc.v2" }),
  bool("tty, t", "allocate a TTY for the container"),
  list("with-ns", NS_USAGE),
  text("pid-file", "file path to write the task's pid"),
  bool("allow-new-privs", "turn off OCI spec's NoNewPrivileges feature flag"),
  uint("memory-limit", "memory limit (in bytes) for the container"),
  list("device", DEVICE_USAGE),
  list("cap-add", "add Linux capabilities (Set capabilities with 'CAP_' prefix)"),
  list("cap-drop", "drop Linux capabilities (Set capabilities with 'CAP_' prefix)"),
  bool("seccomp", "enable the default seccomp profile"),
  text("seccomp-profile", SECCOMP_USAGE),
  text("apparmor-profile", "enable AppArmor with an existing custom profile"),
  text("rdt-class", RDT_USAGE),
  bool("rootfs", "use custom rootfs that is not managed by containerd snapshotter"),
  bool("no-pivot", "disable use of pivot-root (linux only)"),
  int("cpu-quota", "Limit CPU CFS quota", { initial: -1 }),
  uint("cpu-period", "Limit CPU CFS period"),
  text("rootfs-propagation", "set the propagation of the container rootfs"),
  text("user, u", "username or user id, group optional (format: <name|uid>[:<group|gid>])"),
  text("hostname", "set the container's host name"),
  text("cpuset-cpus", "set the CPUs the container will run in (e.g., 1-2,4)"),
  text("cpuset-mems", "set the memory nodes the container will run in (e.g., 1-2,4)"),
  uint("rlimit-nofile", "set RLIMIT_NOFILE value"),
  bool("privileged-without-host-devices", "don't pass all host devices to privileged container"),
];

export const RUN_FLAGS: readonly FlagSpec[] = [
  bool("rm", "remove the container after running, cannot be used with --detach"),
  bool("null-io", "send all IO to /dev/null"),
  text("log-uri", "log uri"),
  bool("detach, d", "detach from the task after it has started execution, cannot be used with --rm"),
  text("fifo-dir", "directory used for storing IO FIFOs"),
  text("cgroup", 'cgroup path (To disable use of cgroup, set to "" explicitly)'),
  text("platform", "run image for specific platform"),
  text("runc-binary", "specify runc-compatible binary"),
  text("runc-root", "specify runc-compatible root"),
  bool("runc-systemd-cgroup", "start runc with systemd cgroup manager"),
  float("cpus", "set the CFS cpu quota"),
  uint("cpu-shares", "set the cpu shares", { initial: 1024 }),
  ...CONTAINER_FLAGS,
];

export const TASK_FLAGS: readonly FlagSpec[] = [
  bool("null-io", "send all IO to /dev/null"),
  text("log-uri", "log uri"),
  text("fifo-dir", "directory used for storing IO FIFOs"),
  text("pid-file", "file path to write the task's pid"),
  bool("detach, d", "detach from the task after it has started execution"),
];
