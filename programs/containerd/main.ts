// containerd's command line: flags over config.toml, then the daemon until SIGTERM or SIGINT.
// Started by hand, by an init system, or by dockerd. The single executable calls main by this program's name.

import { accessSync, constants, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { UNPACK_PROGRAM } from "../../api/unpack/unpack.ts";
import { installUtf8 } from "../../base/bytes.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import { FlagSet, HelpRequested } from "../../base/flags/flagset.ts";
import { Logger } from "../../base/log.ts";
import { nodeUtf8 } from "../../runtime/node/utf8.ts";
import { type CommandLine, formatConfig, loadConfig } from "./config/config.ts";
import { Daemon } from "./daemon.ts";

/** Spoken to clients that look for features by version: the services are those of containerd 2.2. */
export const CONTAINERD_VERSION = "v2.2.0+gantry.0.1.0";
const REVISION = "gantry";

const USAGE = `NAME:
   containerd - high performance container runtime

USAGE:
   containerd [global options] command [command options] [arguments...]

COMMANDS:
   config  information on the containerd config (default, dump)

GLOBAL OPTIONS:
   --config value, -c value     path to the configuration file (default: "/etc/containerd/config.toml")
   --log-level value, -l value  set the logging level [trace, debug, info, warn, error, fatal]
   --address value, -a value    address for containerd's GRPC server
   --root value                 containerd root directory
   --state value                containerd state directory
   --help, -h                   show help
   --version, -v                print the version
`;

interface Arguments extends CommandLine {
  version: boolean;
  rest: string[];
}

/** The exit code. */
export async function main(args: string[]): Promise<number> {
  installUtf8(nodeUtf8);
  let given: Arguments;
  try {
    given = parseArguments(args);
  } catch (thrown) {
    if (thrown instanceof HelpRequested) {
      process.stdout.write(USAGE);
      return 0;
    }
    process.stdout.write(`Incorrect Usage: ${messageOf(thrown)}\n\n${USAGE}`);
    process.stderr.write(`containerd: ${messageOf(thrown)}\n`);
    return 1;
  }
  if (given.version) {
    process.stdout.write(`containerd github.com/containerd/containerd ${CONTAINERD_VERSION} ${REVISION}\n`);
    return 0;
  }
  try {
    return given.rest.length > 0 ? command(given) : await run(given);
  } catch (thrown) {
    process.stderr.write(`containerd: ${messageOf(thrown)}\n`);
    return 1;
  }
}

function parseArguments(args: readonly string[]): Arguments {
  const flags = new FlagSet("go");
  const [config, level] = [flags.string("config", "c", ""), flags.string("log-level", "l", "")];
  const address = flags.string("address", "a", "");
  const [root, state] = [flags.string("root", "", ""), flags.string("state", "", "")];
  const version = flags.bool("version", "v", "");
  const rest = flags.parse(args);
  const orNull = (value: string): string | null => (value === "" ? null : value);
  return {
    config: orNull(config.value),
    level: orNull(level.value),
    address: orNull(address.value),
    root: orNull(root.value),
    state: orNull(state.value),
    version: version.value,
    rest,
  };
}

function command(given: Arguments): number {
  const [name, action] = given.rest;
  if (name === "config" && (action === "default" || action === "dump")) {
    const plain = { config: "/dev/null", root: null, state: null, address: null, level: null };
    process.stdout.write(formatConfig(loadConfig(action === "default" ? plain : given)));
    return 0;
  }
  throw new Failure("unimplemented", `No help topic for '${given.rest.join(" ")}'`);
}

async function run(given: CommandLine): Promise<number> {
  const config = loadConfig(given);
  const write = (line: string): void => void process.stderr.write(line);
  const log = new Logger(config.level, write, () => new Date().toISOString());
  // Whoever read the log may go away (a dockerd that started us): its broken pipe must not end the daemon.
  process.stderr.on("error", () => {});
  log.info("starting containerd", { revision: REVISION, version: CONTAINERD_VERSION });
  for (const name of config.ignored) log.debug("configuration is passed over", { name });
  // A client that goes away, a shim that dies: each is handled where it is awaited. What is left is a defect, and
  // containers must not suffer for it.
  process.on("unhandledRejection", (thrown) => log.error(`unhandled: ${describe(thrown)}`));
  process.on("uncaughtException", (thrown) => log.error(`uncaught: ${describe(thrown)}`));
  process.umask(0o022);
  const stopped = stopSignal();
  const directories = programDirectories();
  const daemon = await Daemon.start({
    ...{ config, log, version: CONTAINERD_VERSION, revision: REVISION },
    ...{ binary: process.execPath, directories, unpackProgram: findUnpacker(directories) },
  });
  log.info("containerd successfully booted");
  const signal = await stopped;
  log.info("stopping; containers go on", { signal });
  await daemon.stop();
  return 0;
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => resolve(signal));
    // dockerd and init systems send it to make a daemon reopen its files; there are none.
    process.on("SIGHUP", () => {});
    process.on("SIGPIPE", () => {});
  });
}

/** Beside the name it was called by, and beside the file behind that name. */
function programDirectories(): string[] {
  const called = process.argv[1] ?? process.execPath;
  const found = [dirname(called), dirname(process.execPath)];
  try {
    found.push(dirname(realpathSync(called)));
  } catch {
    // Called by a bare name: the executable's own directory is in the list.
  }
  return [...new Set(found)].filter((directory) => directory.startsWith("/"));
}

function findUnpacker(directories: readonly string[]): string {
  const path = (process.env["PATH"] ?? "").split(":").filter((directory) => directory !== "");
  for (const directory of [...directories, ...path]) {
    const candidate = join(directory, UNPACK_PROGRAM);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // The next one.
    }
  }
  throw new Failure("not_found", `${UNPACK_PROGRAM} is neither beside containerd nor on PATH`);
}

function describe(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}
