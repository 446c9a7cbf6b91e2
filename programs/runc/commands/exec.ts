// `runc exec`. Its own failures exit with 255, so that they are told from the program's codes.

import { Failure, messageOf } from "../../../base/errors.ts";
import { parseGoUint } from "../../../base/flags/go.ts";
import { entries as entriesOf } from "../../../base/flags/values.ts";
import { execute as executeIn, prefixed } from "../../../container/detached.ts";
import { parseConfig, readBundle } from "../../../container/plan.ts";
import { requireSealed } from "../../../container/seal.ts";
import { checkProcess } from "../../../container/spec/check.ts";
import { parseRanges } from "../../../container/spec/ranges.ts";
import { type ProcessSpec, readProcess } from "../../../container/spec/schema.ts";
import { type Container, loadContainer, stateOf } from "../../../container/state.ts";
import type { Fd } from "../../../linux/fd.ts";
import { readText } from "../../../linux/fd.ts";
import { setChildSubreaper } from "../../../linux/process.ts";
import { absolute, type Command, type Context, callerOf, type Line } from "../command.ts";
import { Foreground } from "./foreground.ts";
import { openConsole } from "./terminal.ts";

export const exec: Command = {
  name: "exec",
  keepsOrder: true,
  arguments: "<container-id> <command> [command options]  || -p process.json <container-id>",
  summary: "execute new process inside the container",
  failure: 255,
  run(line, context) {
    const given = execFlags(line);
    const [id, ...args] = line.parse(1, Number.POSITIVE_INFINITY);
    return prefixed("exec failed: ", () => {
      requireSealed();
      return execute(id!, args, { given, context });
    });
  },
};

function execFlags({ flags }: Line) {
  return {
    console: flags.string(
      "console-socket",
      "",
      "path to an AF_UNIX socket which will receive the console's master descriptor",
    ),
    pidfd: flags.string("pidfd-socket", "", "path to an AF_UNIX socket which will receive a pidfd of the process"),
    cwd: flags.string("cwd", "", "current working directory in the container"),
    env: flags.list("env", "e", "set environment variables"),
    tty: flags.bool("tty", "t", "allocate a pseudo-TTY"),
    user: flags.string("user", "u", "UID (format: <uid>[:<gid>])"),
    groups: flags.add(
      entriesOf("value", (text) => parseGoUint(text, 32)),
      ["additional-gids", "g"],
      {
        usage: "additional gids",
        initial: [],
      },
    ),
    process: flags.string("process", "p", "path to the process.json"),
    detach: flags.bool("detach", "d", "detach from the container's process"),
    pidFile: flags.string("pid-file", "", "specify the file to write the process id to"),
    label: flags.string("process-label", "", "set the asm process label for the process commonly used with selinux"),
    apparmor: flags.string("apparmor", "", "set the apparmor profile for the process"),
    noNewPrivileges: flags.bool("no-new-privs", "", "set the no new privileges value for the process"),
    capabilities: flags.list("cap", "c", "add a capability to the bounding set for the process"),
    preserve: flags.int("preserve-fds", "", "pass N additional file descriptors to the container"),
    cgroup: flags.list(
      "cgroup",
      "",
      "run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>",
    ),
    ignorePaused: flags.bool("ignore-paused", "", "allow exec in a paused container"),
  };
}

type Given = ReturnType<typeof execFlags>;

function execute(id: string, args: readonly string[], { given, context }: { given: Given; context: Context }): number {
  for (const flag of [given.console, given.pidfd, given.pidFile, given.process]) {
    if (flag.value !== "") flag.value = absolute(flag.value);
  }
  const container = loadContainer(context.root, id);
  if (given.process.value === "" && args.length === 0)
    throw new Failure("invalid_argument", "process args cannot be empty");
  const process = processOf(container, args, given);
  using console = openConsole(process, { detach: given.detach.value, socket: given.console.value });
  const foreground = given.detach.value ? null : new Foreground();
  if (foreground !== null) setChildSubreaper();
  let master: Fd | null = null;
  const request = {
    ...{ container, process, ignorePaused: given.ignorePaused.value, subgroups: subgroupsOf(given.cgroup.value) },
    ...{ console: console.send, preserve: given.preserve.value },
    ...{ pidfd: given.pidfd.value, pidFile: given.pidFile.value },
  };
  const pid = executeIn(request, callerOf(context), (made) => {
    const initial = process.execCPUAffinity?.initial ?? "";
    if (initial !== "") context.log.debug(`nsexec[${made}]: affinity: 0x${hexMask(initial)}`);
    master = console.receive();
    foreground?.prepare(master);
  });
  return foreground === null ? 0 : foreground.follow(pid, master);
}

function processOf(container: Container, args: readonly string[], given: Given): ProcessSpec {
  if (given.process.value !== "") {
    const name = given.process.value;
    return checkProcess(readProcess(parseConfig(readText(name), name), "process"));
  }
  const base = checkProcess(readBundle(stateOf(container).bundle).process);
  const process: ProcessSpec = {
    ...base,
    args: [...args],
    env: [...base.env, ...given.env.value],
    terminal: given.tty.value,
  };
  if (given.cwd.value !== "") process.cwd = given.cwd.value;
  if (given.apparmor.value !== "") process.apparmorProfile = given.apparmor.value;
  if (given.label.value !== "") process.selinuxLabel = given.label.value;
  if (given.noNewPrivileges.changed) process.noNewPrivileges = given.noNewPrivileges.value;
  if (given.capabilities.value.length > 0) {
    const more = given.capabilities.value;
    const sets = process.capabilities ?? { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };
    const add = (set: readonly string[]) => [...set, ...more];
    process.capabilities = {
      ...sets,
      bounding: add(sets.bounding),
      effective: add(sets.effective),
      permitted: add(sets.permitted),
      // An ambient capability must be inheritable, and --cap leaves the inheritable set as config.json has it.
      ambient: sets.inheritable.length > 0 ? add(sets.ambient) : sets.ambient,
    };
  }
  if (given.user.value !== "") process.user = { ...process.user, ...parseUser(given.user.value) };
  process.user = { ...process.user, additionalGids: [...process.user.additionalGids, ...given.groups.value] };
  return checkProcess(process);
}

function parseUser(text: string): { uid: number; gid?: number } {
  const [uid, gid] = text.split(":");
  try {
    return gid === undefined
      ? { uid: parseGoUint(uid!, 32) }
      : { uid: parseGoUint(uid!, 32), gid: parseGoUint(gid, 32) };
  } catch (thrown) {
    throw new Failure("invalid_argument", `parsing user ${JSON.stringify(text)}: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

function hexMask(processors: string): string {
  return parseRanges(processors)
    .reduce((bits, at) => bits | (1n << BigInt(at)), 0n)
    .toString(16);
}

function subgroupsOf(entries: readonly string[]): Map<string, string> | null {
  if (entries.length === 0) return null;
  const map = new Map<string, string>();
  const wrong = (which: string, why: string) => new Failure("invalid_argument", `invalid --cgroup ${which} ${why}`);
  for (const entry of entries) {
    const colon = entry.indexOf(":");
    if (colon < 0 && entries.length > 1) throw wrong(`argument: ${entry}`, "(missing <controller>: prefix)");
    for (const controller of colon < 0 ? [""] : entry.slice(0, colon).split(",")) {
      if (colon >= 0 && controller === "") throw wrong(`argument: ${entry}`, "(empty <controller> prefix)");
      if (map.has(controller)) throw wrong(`argument(s): controller ${controller}`, "specified multiple times");
      map.set(controller, entry.slice(colon + 1));
    }
  }
  return map;
}
