// dockerd: the command line, the sockets, the signals. The engine itself is daemon.ts.

import { readFileSync, rmSync } from "node:fs";
import { installUtf8 } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import { FlagError, HelpRequested } from "../../base/flags/flagset.ts";
import { formatFlagUsage } from "../../base/flags/usage.ts";
import { Logger, parseLogLevel } from "../../base/log.ts";
import type { Listener } from "../../base/runtime.ts";
import { listenTcp, listenUnix } from "../../runtime/node/socket.ts";
import { nodeUtf8 } from "../../runtime/node/utf8.ts";
import { type ParsedFlags, parseFlags, UnexpectedArgument } from "./config/flags.ts";
import { loadSettings } from "./config/load.ts";
import type { Settings } from "./config/settings.ts";
import { nowText } from "./containers/record.ts";
import { Daemon } from "./daemon.ts";
import { claimPidfile } from "./home.ts";
import { searchPath } from "./system/programs.ts";
import { ENGINE_VERSION } from "./version.ts";

const SOCKET_MODE = 0o660;
const FAILURE = 1;

/** The exit code; resolves when the daemon has ended. */
export async function main(args: readonly string[]): Promise<number> {
  installUtf8(nodeUtf8);
  let flags: ParsedFlags;
  try {
    flags = parseFlags(args);
  } catch (thrown) {
    if (thrown instanceof HelpRequested) return printHelp();
    const status = thrown instanceof FlagError || thrown instanceof UnexpectedArgument ? 125 : FAILURE;
    process.stderr.write(`${messageOf(thrown)}\nSee 'dockerd --help'.\n`);
    return status === 125 && thrown instanceof FlagError ? 125 : FAILURE;
  }
  if (flags.given.get("version") === true) {
    process.stdout.write(`Docker version ${ENGINE_VERSION}, build gantry\n`);
    return 0;
  }
  try {
    const settings = loadSettings(flags.given);
    if (flags.given.get("validate") === true) {
      process.stderr.write("configuration OK\n");
      return 0;
    }
    return await run(settings);
  } catch (thrown) {
    process.stderr.write(`${messageOf(thrown)}\n`);
    return FAILURE;
  }
}

function printHelp(): number {
  let set: ParsedFlags["set"];
  try {
    set = parseFlags([]).set;
  } catch {
    return FAILURE;
  }
  const options = formatFlagUsage(set.entries, process.stdout.columns ?? 80);
  process.stdout.write(
    `\nUsage:\tdockerd [OPTIONS]\n\nA self-sufficient runtime for containers.\n\nOptions:\n${options}`,
  );
  return 0;
}

async function run(settings: Settings): Promise<number> {
  const log = new Logger(parseLogLevel(settings.logLevel) ?? "info", (line) => process.stderr.write(line), nowText);
  // Shims and runtimes are found beside us, whatever the caller's PATH says.
  process.env["PATH"] = searchPath().join(":");
  process.umask(0o022);
  using _pidfile = claimPidfile(settings.pidfile);
  log.info(`Starting up, data in ${settings.dataRoot}`);
  const daemon = new Daemon(settings, log);
  const asked = endOfLife(log);
  process.on("uncaughtException", (error) => log.error(`uncaught: ${error.stack ?? error.message}`));
  process.on("unhandledRejection", (reason) => log.error(`unhandled: ${(reason as Error)?.stack ?? String(reason)}`));
  const listeners: Listener[] = [];
  try {
    await daemon.start();
    for (const host of settings.hosts) listeners.push(await listen(host, settings, log));
    daemon.serve(listeners);
    for (const host of settings.hosts) log.info(`API listen on ${host.replace(/^unix:\/\//, "")}`);
    log.info("Daemon has completed initialization");
  } catch (thrown) {
    log.error(`failed to start daemon: ${messageOf(thrown)}`);
    await daemon.stop(listeners).catch(() => {});
    return FAILURE;
  }
  await asked;
  log.info("Processing signal, shutting down");
  await daemon.stop(listeners);
  for (const host of settings.hosts)
    if (host.startsWith("unix://")) rmSync(host.slice("unix://".length), { force: true });
  log.info("Daemon shutdown complete");
  return 0;
}

/** Resolves on the first signal to end; three more end at once, as the original has it. */
function endOfLife(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    let count = 0;
    const ask = (name: NodeJS.Signals) => {
      log.info(`received ${name}`);
      if (++count > 3) process.exit(128 + (name === "SIGINT" ? 2 : 15));
      resolve();
    };
    process.on("SIGTERM", ask);
    process.on("SIGINT", ask);
    process.on("SIGQUIT", ask);
    process.on("SIGHUP", () => log.info("SIGHUP: reloading the configuration is not supported yet"));
    process.on("SIGPIPE", () => {});
  });
}

async function listen(host: string, settings: Settings, log: Logger): Promise<Listener> {
  if (host.startsWith("unix://")) {
    const gid = groupId(settings.group);
    if (gid === null && settings.group !== "docker") throw new Error(`group ${settings.group} not found`);
    return listenUnix(host.slice("unix://".length), { mode: SOCKET_MODE, gid });
  }
  const { hostname, port } = new URL(host.replace(/^tcp:/, "http:"));
  log.warn(`listening on ${host} without TLS: everyone who reaches it has root on this machine`);
  return listenTcp(hostname.replace(/^\[|\]$/g, "") || "127.0.0.1", Number(port || 2375));
}

function groupId(name: string): number | null {
  if (/^\d+$/.test(name)) return Number(name);
  try {
    const line = readFileSync("/etc/group", "utf8")
      .split("\n")
      .find((one) => one.startsWith(`${name}:`));
    return line === undefined ? null : Number(line.split(":")[2]);
  } catch {
    return null;
  }
}
