// The flags that create and run share, and what they become: a plan and the places things go to.

import { Failure } from "../../../base/errors.ts";
import { pathsOf } from "../../../container/layout.ts";
import { type Plan, planContainer } from "../../../container/plan.ts";
import { rootlessOf } from "../../../container/rootless.ts";
import { door } from "../../../linux/door.ts";
import { changeDirectory, createFile, F_GETFD, replaceFile, workingDirectory } from "../../../linux/fd.ts";
import * as nr from "../../../linux/numbers.ts";
import { absolute, type Context, type Line } from "../command.ts";

export function bundleFlags({ flags }: Line) {
  return {
    bundle: flags.string("bundle", "b", "path to the root of the bundle directory, defaults to the current directory"),
    console: flags.string(
      "console-socket",
      "",
      "path to an AF_UNIX socket which will receive the console's master descriptor",
    ),
    pidfd: flags.string("pidfd-socket", "", "path to an AF_UNIX socket which will receive a pidfd of the process"),
    pidFile: flags.string("pid-file", "", "specify the file to write the process id to"),
    noPivot: flags.bool("no-pivot", "", "do not use pivot root to jail process inside rootfs"),
    noNewKeyring: flags.bool("no-new-keyring", "", "do not create a new session keyring for the container"),
    preserve: flags.int(
      "preserve-fds",
      "",
      "pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N)",
    ),
  };
}

type Flags = ReturnType<typeof bundleFlags>;
/** For a command that has only some of them as flags, too. */
export type BundleFlags = { [Name in keyof Flags]: { value: Flags[Name]["value"] } };

/** Until the process ends: its thousands of objects would else be taken apart one by one right before that. */
const KEPT: Plan[] = [];

export function planFrom(given: BundleFlags, id: string, context: Context): Plan {
  // Relative paths of flags count from where runc was called, those of config.json from the bundle.
  for (const flag of [given.console, given.pidfd, given.pidFile])
    if (flag.value !== "") flag.value = absolute(flag.value);
  if (given.bundle.value !== "") changeDirectory(given.bundle.value);
  const extra = extraDescriptors(given.preserve.value, context);
  const plan = planContainer({
    id,
    bundle: workingDirectory(),
    paths: pathsOf(context.root, id),
    rootless: rootlessOf(context.rootless, context.variable("PATH") ?? ""),
    noPivot: given.noPivot.value,
    noNewKeyring: given.noNewKeyring.value,
    systemd: context.systemd,
    readiness: (context.variable("NOTIFY_SOCKET") ?? "") !== "",
    ...extra,
  });
  KEPT.push(plan);
  for (const warning of plan.warnings) context.log.warn(warning);
  if (plan.filter !== null) context.log.debug(`seccomp filter flags: ${plan.filter.flags}`);
  return plan;
}

const FIRST_EXTRA = 3;

export function extraDescriptors(preserve: number, { variable }: Context) {
  const listeners = variable("LISTEN_FDS") ?? "";
  const listening = listeners !== "" && /^\d+$/.test(listeners) ? Number(listeners) : 0;
  const count = listening + preserve;
  // What we opened ourselves (the log) closes on exec; what the caller left us came through one and does not.
  for (let fd = FIRST_EXTRA; fd < FIRST_EXTRA + count; fd++) {
    if (door().syscall(nr.SYS_fcntl, fd, F_GETFD, 0) !== 0) {
      throw new Failure(
        "invalid_argument",
        `unable to use preserved descriptor: please check that preserved-fd ${fd} exists`,
      );
    }
  }
  const extraEnvironment = listening > 0 ? [`LISTEN_FDS=${listening}`, "LISTEN_PID=1"] : [];
  const names = listening > 0 ? variable("LISTEN_FDNAMES") : null;
  if (names !== null) extraEnvironment.push(`LISTEN_FDNAMES=${names}`);
  return { extraDescriptors: count, extraEnvironment };
}

/** Whole or not at all: whoever waits for the file reads the pid at once. */
export function writePidFile(path: string, pid: number): void {
  if (path !== "" && !createFile(path, String(pid), 0o644)) replaceFile(path, String(pid), 0o644);
}
