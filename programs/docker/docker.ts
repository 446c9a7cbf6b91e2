// The docker command line from its first argument to its exit code, the same on both engines.
//
//     global flags ──▶ command or group ──▶ its flags ──▶ its action ──▶ exit code
//
// Whatever an action throws becomes text on stderr and a code here, and nowhere else.

import { Failure, messageOf } from "../../base/errors.ts";
import { type Flag, FlagError, FlagSet, HelpRequested } from "../../base/flags/flagset.ts";
import type { Runtime } from "../../base/runtime.ts";
import { Cli, openOutputs } from "./cli.ts";
import type { Command } from "./command.ts";
import { configDirectory, loadConfig } from "./config/config.ts";
import {
  type HostChoice,
  resolveContextName,
  resolveEndpoint,
  type TlsDialer,
  type TlsFiles,
} from "./config/endpoint.ts";
import { ExitStatus } from "./failure.ts";
import { checkArguments, commandHelp, flagComplaint, groupHelp, rootHelp, usageLine } from "./help.ts";
import type { Output } from "./output.ts";
import { findCommand, GROUPS, TOP_COMMANDS } from "./tree.ts";
import { CLIENT_BUILD, CLIENT_VERSION } from "./version.ts";

/** `tlsDialer` is there on Node only. */
export async function runDocker(runtime: Runtime, tlsDialer: TlsDialer | null = null): Promise<number> {
  const { out, err } = openOutputs(runtime);
  let code = 0;
  try {
    code = await dispatch(runtime, { out, err, tlsDialer });
  } catch (thrown) {
    await out.flush().catch(() => {});
    code = thrown instanceof ExitStatus ? thrown.code : 1;
    if (messageOf(thrown) !== "") err.line(messageOf(thrown));
  }
  try {
    await out.flush();
    await err.flush();
  } catch (thrown) {
    return thrown instanceof ExitStatus ? thrown.code : 1;
  }
  return code;
}

interface Outputs {
  out: Output;
  err: Output;
  tlsDialer: TlsDialer | null;
}

interface GlobalFlags {
  set: FlagSet;
  config: Flag<string>;
  context: Flag<string>;
  debug: Flag<boolean>;
  hosts: Flag<string[]>;
  logLevel: Flag<string>;
  tls: Flag<boolean>;
  tlsVerify: Flag<boolean>;
  ca: Flag<string>;
  cert: Flag<string>;
  key: Flag<string>;
  version: Flag<boolean>;
  help: Flag<boolean>;
}

function globalFlags(): GlobalFlags {
  const set = new FlagSet("pflag");
  set.interspersed = false;
  const flags = {
    set,
    config: set.string("config", "", "Folder of the client's configuration (default ~/.docker)"),
    context: set.string("context", "c", "Context that names the daemon (overrides DOCKER_HOST)"),
    debug: set.bool("debug", "D", "Debug mode"),
    hosts: set.list("host", "H", "Socket of the daemon"),
    logLevel: set.string("log-level", "l", "What to log (debug, info, warn, error, fatal)", "info"),
    tls: set.bool("tls", "", "Use TLS; --tlsverify implies it"),
    tlsVerify: set.bool("tlsverify", "", "Use TLS and check the daemon's certificate"),
    ca: set.string("tlscacert", "", "Certificate authority to trust (default ~/.docker/ca.pem)"),
    cert: set.string("tlscert", "", "Client certificate (default ~/.docker/cert.pem)"),
    key: set.string("tlskey", "", "Client key (default ~/.docker/key.pem)"),
    version: set.bool("version", "v", "Print the version and end"),
    help: set.bool("help", "h", "Print usage"),
  };
  return flags;
}

async function dispatch(runtime: Runtime, outputs: Outputs): Promise<number> {
  const flags = globalFlags();
  const rest = parseGlobal(flags, runtime.args);
  const width = () => runtime.terminal.size(1)?.columns || 80;
  if (flags.version.value) {
    outputs.out.line(`Docker version ${CLIENT_VERSION}, build ${CLIENT_BUILD}`);
    return 0;
  }
  const wantsHelp = rest[0] === "help";
  const words = wantsHelp ? rest.slice(1) : rest;
  if (words.length === 0) {
    outputs.out.print(rootHelp({ groups: GROUPS, commands: TOP_COMMANDS, flags: flags.set, width: width() }));
    return 0;
  }
  const found = findCommand(words);
  if (wantsHelp && found.kind === "unknown") throw new ExitStatus(1, `unknown help topic: ${words.join(" ")}`);
  if (found.kind === "unknown") {
    const usage = found.group === null ? "" : `Usage:  ${found.group}\n\n`;
    const parent = found.group ?? "docker";
    throw new ExitStatus(
      1,
      `docker: unknown command: ${parent} ${found.word}\n\n${usage}Run '${parent} --help' for more information`,
    );
  }
  if (found.kind === "group") {
    outputs.out.print(groupHelp(found.group));
    return 0;
  }
  const args = wantsHelp ? ["--help"] : found.args;
  return runCommand(runtime, { command: found.command, path: found.path, args, flags, outputs });
}

function parseGlobal(flags: GlobalFlags, args: readonly string[]): string[] {
  try {
    const rest = flags.set.parse(args);
    return flags.help.value ? ["help", ...rest] : rest;
  } catch (thrown) {
    if (!(thrown instanceof FlagError)) throw thrown;
    throw flagComplaint(thrown.message, "Usage:  docker [OPTIONS] COMMAND [ARG...]", "docker");
  }
}

interface Invocation {
  command: Command;
  path: string;
  args: string[];
  flags: GlobalFlags;
  outputs: Outputs;
}

async function runCommand(runtime: Runtime, invocation: Invocation): Promise<number> {
  const { command, path, flags, outputs } = invocation;
  const set = new FlagSet("pflag");
  set.interspersed = command.interspersed !== false;
  set.deprecation = (sentence) => outputs.err.line(sentence);
  const action = command.define(set, runtime);
  const help = set.bool("help", "", "Print usage");
  let args: string[] = [];
  let wantsHelp = false;
  try {
    args = set.parse(invocation.args);
    wantsHelp = help.value;
  } catch (thrown) {
    wantsHelp = thrown instanceof HelpRequested;
    if (thrown instanceof FlagError) throw flagComplaint(thrown.message, usageLine(command, path), path);
    if (!wantsHelp) throw thrown;
  }
  if (wantsHelp) {
    outputs.out.print(commandHelp(command, path, { flags: set, width: runtime.terminal.size(1)?.columns || 80 }));
    return 0;
  }
  checkArguments(command, path, args.length);
  const cli = openCli(runtime, flags, outputs);
  cli.path = path;
  await outputs.err.flush(); // a warning about the configuration stands before what the command prints
  return (await action(cli, args)) ?? 0;
}

function openCli(runtime: Runtime, flags: GlobalFlags, outputs: Outputs): Cli {
  if (!["debug", "info", "warn", "error", "fatal", "warning", "panic", "trace"].includes(flags.logLevel.value)) {
    throw new ExitStatus(1, `Unable to parse logging level: ${flags.logLevel.value}`);
  }
  const directory = configDirectory(runtime, flags.config.value);
  const { config, warning } = loadConfig(runtime.files, directory);
  if (warning !== null) outputs.err.line(warning);
  const choice: HostChoice = {
    hosts: flags.hosts.value,
    context: flags.context.value,
    tls: tlsFiles(runtime, flags, directory),
    configDirectory: directory,
    currentContext: config.currentContext ?? "",
  };
  const endpoint = () => {
    try {
      return resolveEndpoint(runtime, choice);
    } catch (thrown) {
      if (thrown instanceof Failure) throw new ExitStatus(1, `Failed to initialize: ${thrown.message}`);
      throw thrown;
    }
  };
  const contextName = resolveContextName(runtime, choice);
  return new Cli(runtime, config, {
    ...outputs,
    contextName,
    debug: flags.debug.value,
    endpoint,
    configDirectory: directory,
  });
}

/** Certificates for a connection with TLS, as flags, environment or the configuration's folder name them. */
function tlsFiles(runtime: Runtime, flags: GlobalFlags, directory: string): TlsFiles | null {
  const verify = flags.tlsVerify.changed ? flags.tlsVerify.value : (runtime.env["DOCKER_TLS_VERIFY"] ?? "") !== "";
  if (!verify && !flags.tls.value && (runtime.env["DOCKER_TLS"] ?? "") === "") return null;
  const folder = runtime.env["DOCKER_CERT_PATH"] || directory;
  const file = (given: string, name: string) => {
    const path = given || `${folder}/${name}`;
    return given !== "" || runtime.files.stat(path) !== null ? path : "";
  };
  const [ca, cert, key] = [
    file(flags.ca.value, "ca.pem"),
    file(flags.cert.value, "cert.pem"),
    file(flags.key.value, "key.pem"),
  ];
  return { ca, cert, key, verify };
}
