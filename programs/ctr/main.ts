// ctr, containerd's own command line: one gRPC client of containerd's public services, for people who debug it.
// The commands are in commands/, each loaded when it is called; run/ makes containers, io/ carries their streams.

import { FlagError } from "../../base/flags/flagset.ts";
import type { TopCommand } from "./cli/command.ts";
import { sentenceOf } from "./cli/errors.ts";
import { bool, duration, text } from "./cli/flag.ts";
import type { FlagValues, GlobalSettings } from "./cli/invocation.ts";
import { type Invoke, type Program, parseProgram } from "./cli/parse.ts";

const COMMANDS: readonly TopCommand[] = [
  {
    names: ["plugins", "plugin"],
    usage: "provides information about containerd plugins",
    load: async () => (await import("./commands/plugins.ts")).PLUGINS,
  },
  {
    names: ["version"],
    usage: "print the client and server versions",
    load: async () => (await import("./commands/version.ts")).VERSIONS,
  },
  {
    names: ["containers", "c", "container"],
    usage: "manage containers",
    load: async () => (await import("./commands/containers.ts")).CONTAINERS,
  },
  { names: ["content"], usage: "manage content", load: async () => (await import("./commands/content.ts")).CONTENT },
  {
    names: ["events", "event"],
    usage: "display containerd events",
    load: async () => (await import("./commands/events.ts")).EVENTS,
  },
  {
    names: ["images", "image", "i"],
    usage: "manage images",
    load: async () => (await import("./commands/images.ts")).IMAGES,
  },
  { names: ["leases"], usage: "manage leases", load: async () => (await import("./commands/leases.ts")).LEASES },
  {
    names: ["namespaces", "namespace", "ns"],
    usage: "manage namespaces",
    load: async () => (await import("./commands/namespaces.ts")).NAMESPACES,
  },
  { names: ["run"], usage: "run a container", load: async () => (await import("./commands/run.ts")).RUN },
  {
    names: ["snapshots", "snapshot"],
    usage: "manage snapshots",
    load: async () => (await import("./commands/snapshots.ts")).SNAPSHOTS,
  },
  {
    names: ["tasks", "t", "task"],
    usage: "manage tasks",
    load: async () => (await import("./commands/tasks.ts")).TASKS,
  },
  { names: ["oci"], usage: "OCI tools", load: async () => (await import("./commands/oci.ts")).OCI },
];

const GLOBAL_FLAGS = [
  bool("debug", "enable debug output in logs"),
  text("address, a", "address for containerd's GRPC server", {
    initial: "/run/containerd/containerd.sock",
    env: "CONTAINERD_ADDRESS",
  }),
  duration("timeout", "total timeout for ctr commands"),
  duration("connect-timeout", "timeout for connecting to containerd"),
  text("namespace, n", "namespace to use with commands", { initial: "default", env: "CONTAINERD_NAMESPACE" }),
];

const PROGRAM: Program = { flags: GLOBAL_FLAGS, commands: COMMANDS, globals: globalSettings };

/** `args` without the program's name; gives the exit code. */
export async function main(args: string[]): Promise<number> {
  try {
    const parsed = await parseProgram(PROGRAM, args);
    return typeof parsed === "number" ? parsed : await invoke(parsed);
  } catch (thrown) {
    process.stderr.write(`ctr: ${thrown instanceof FlagError ? thrown.message : sentenceOf(thrown)}\n`);
    return 1;
  }
}

async function invoke({ command, invocation }: Invoke): Promise<number> {
  const limit = invocation.global.timeout;
  let timer: NodeJS.Timeout | null = null;
  try {
    const action = command.action!(invocation);
    if (limit <= 0) return (await action) ?? 0;
    timer = setTimeout(expire, limit / 1e6);
    return (await action) ?? 0;
  } finally {
    if (timer !== null) clearTimeout(timer);
    invocation.close();
  }
}

/** Calls under way, a subscription above all, would keep this process. */
function expire(): void {
  process.stderr.write("ctr: context deadline exceeded\n", () => process.exit(1));
}

function globalSettings(values: FlagValues): GlobalSettings {
  const value = (name: string) => values.get(name)!.value;
  return {
    address: String(value("address")),
    namespace: String(value("namespace")),
    timeout: Number(value("timeout")),
    connectTimeout: Number(value("connect-timeout")),
    debug: value("debug") === true,
  };
}

if (import.meta.main) {
  main(process.argv.slice(2)).then((code) => {
    process.exitCode = code;
  });
}
