// The life of a container's first process, from its clone to its program. Each stage is a file; the order is runc's,
// and hooks and later stages depend on it.
//
//     names ─▶ namespaces ─▶ root ─▶ mounts, cgroups ─▶ /dev ─▶ [hooks] ─▶ createContainer hooks ─▶ pivot
//       ─▶ console ─▶ read-only ─▶ hostname, sysctls ─▶ masks ─▶ identity ─▶ [ready] ─▶ start ─▶ filter ─▶ execve

import { Failure, messageOf } from "../../base/errors.ts";
import { joinSessionKeyring, setPersonality, setUmask } from "../../linux/credential.ts";
import { door } from "../../linux/door.ts";
import { must } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import { NAMESPACES, setNamespace, unshare } from "../../linux/namespace.ts";
import { raiseLoopback } from "../../linux/network.ts";
import * as nr from "../../linux/numbers.ts";
import { exit, newSession, processId, setDumpable, setName, setParentDeathSignal } from "../../linux/process.ts";
import { SIGKILL } from "../../linux/signal.ts";
import { failpoint } from "../failpoints.ts";
import { runHooks } from "../hooks.ts";
import { awaitGo, sayPlainly } from "../messages.ts";
import { awaitsHost } from "../plan.ts";
import { domainOf } from "../spec/check.ts";
import { INIT_NAME } from "../state.ts";
import type { Birth } from "./birth.ts";
import { joinCgroups } from "./cgroup.ts";
import { setUpConsole } from "./console.ts";
import { makeDevices, needsDevices, ownNull } from "./devices.ts";
import { awaitStart, confine, execute, FIRST_EXTRA, loadListening, type Prepared, prepare } from "./execute.ts";
import { setNames, setSysctls } from "./kernel.ts";
import { APPARMOR_FAILED } from "./labels.ts";
import { protectPaths } from "./masks.ts";
import { mountAll } from "./mounts.ts";
import { setOomScore } from "./oom.ts";
import { closeRoot, enterRoot, openRoot } from "./root.ts";
import { ensureTarget } from "./target.ts";

const DEFAULT_UMASK = 0o022;

/** Never returns: the program, or an exit after telling the parent why. */
export function beginContainer(birth: Birth): never {
  let early = true;
  let heard = true;
  try {
    // While its own files under /proc still belong to its user. A helper has done it for us.
    if (birth.plan.rootless.user && !birth.helped) setOomScore(birth.plan.process, "self");
    nameSelf();
    failpoint("create.child.begun");
    closeInherited(birth);
    birth.debug("nsexec container setup");
    enterNamespaces(birth);
    failpoint("create.child.namespaces");
    birth.debug("child process in init()");
    buildRoot(birth);
    // While there is still the right to mount one; waiting for `start` goes through it.
    if (birth.fifo !== null) birth.proc();
    early = false;
    const prepared = prepareFirst(birth);
    failpoint("create.child.prepared");
    birth.debug("init: closing the pipe to signal completion");
    birth.tell({ kind: "ready" });
    awaitGo(birth.dialogue);
    failpoint("create.child.released");
    loadListening(birth.plan.process, birth.dialogue);
    if (birth.fifo !== null) {
      heard = false;
      // A user without rights can only join what is not hidden from it, and exec works before start, too. The parent
      // takes the end of the dialogue, which comes next, for the sign that it can.
      if (birth.plan.rootless.user) setDumpable(true);
      // It may wait for its start for days: what was open on the way, or came from the caller, is not kept.
      fs.closeAllBut([birth.fifo, birth.proc()], FIRST_EXTRA + birth.plan.process.extraDescriptors);
      awaitStart(birth.fifo, birth.proc());
      failpoint("create.child.started");
      if (birth.plan.rootless.user) setDumpable(false);
    }
    runHooks({
      ...{ kind: "startContainer", hooks: birth.plan.spec.hooks?.startContainer ?? [] },
      // The one kind that finds itself where the program will be, so it finds the program's environment, too.
      ...{ environment: prepared.env, state: hookState(birth, "created") },
      confine: () => confine(prepared),
    });
    execute(prepared, (message) => report(birth, { message, early, heard }));
  } catch (thrown) {
    report(birth, { message: messageOf(thrown), early, heard });
  }
  exit(1);
}

function prepareFirst(birth: Birth): Prepared {
  try {
    const warn = (message: string) => birth.tell({ kind: "warning", message });
    return prepare(birth.plan.process, () => birth.proc(), warn);
  } catch (thrown) {
    // The original says so here and not in exec.
    if (!messageOf(thrown).startsWith(APPARMOR_FAILED)) throw thrown;
    throw new Failure("failed_precondition", `unable to apply apparmor profile: ${messageOf(thrown)}`);
  }
}

/** To the parent while it listens; afterwards to the container's own standard error, as the original does. */
function report(birth: Birth, what: { message: string; early: boolean; heard: boolean }): void {
  try {
    if (what.heard) sayPlainly(birth.dialogue, { kind: "failed", message: what.message, early: what.early });
    else fs.writeAll(2, door().encode(`${what.message}\n`));
  } catch {
    // The parent is gone too: nobody is left to be told.
  }
}

/** Seen by nobody else's eyes: no other process may trace it or reach its descriptors and memory through /proc. Until
 *  it is ready it ends with its maker, so that a broken-off create leaves nobody at work. */
export function nameSelf(): void {
  setParentDeathSignal(SIGKILL);
  setDumpable(false);
  door().title("runc init");
  setName(INIT_NAME);
}

/** What the caller left open, or the parent opened for itself, is no way for the image's own words (its program, its
 *  working directory) to name something of the host by /proc/self/fd (CVE-2024-21626). */
function closeInherited({ plan, dialogue, fifo, console, tasks, joins }: Birth): void {
  const kept = [dialogue, fifo ?? dialogue, console ?? dialogue];
  for (const { number } of [...(tasks ?? []), ...joins.values()]) kept.push(number);
  fs.closeAllBut(kept, FIRST_EXTRA + plan.process.extraDescriptors);
}

function enterNamespaces(birth: Birth): void {
  const { plan } = birth;
  // As the user who opened the files: the mapped root may be another one.
  if (birth.tasks !== null) joinCgroups(birth);
  if (birth.isNew("user")) {
    // Without rights the parent can write only the files of a process that is not hidden from its own user.
    if (plan.rootless.user) setDumpable(true);
    birth.tell({ kind: "map" });
    awaitGo(birth.dialogue);
    becomeMappedRoot(plan.rootless.user);
    // Its message queues belong to who makes it.
    if (birth.isNew("ipc")) unshare(NAMESPACES.ipc.flag);
  }
  for (const [kind, namespace] of birth.joins) {
    setNamespace(namespace.number, NAMESPACES[kind].flag, plan.namespaces.get(kind));
    namespace.close();
  }
  newSession();
  if (!plan.process.noNewKeyring) joinSessionKeyring(`_ses.${plan.id}`, plan.namespaces.has("user"));
  if (birth.isNew("network")) raiseLoopback();
}

/** After a user namespace is entered. `keepGroups`: a user without rights has no say in them. */
export function becomeMappedRoot(keepGroups: boolean): void {
  if (!keepGroups) door().syscall(nr.SYS_setgroups, 0, null);
  door().syscall(nr.SYS_setresgid, 0, 0, 0);
  door().syscall(nr.SYS_setresuid, 0, 0, 0);
  // A change of ids makes a process dumpable by the system's setting; ours stays off.
  setDumpable(false);
}

function buildRoot(birth: Birth): void {
  const { plan } = birth;
  const { process, spec, linux } = plan;
  birth.keepProc();
  openRoot(birth);
  mountAll(birth);
  failpoint("create.child.mounts");
  joinCgroups(birth);
  failpoint("create.child.cgroups");
  const devices = plan.namespaces.has("mount") && needsDevices(birth);
  if (devices) makeDevices(birth);
  if (awaitsHost(plan)) {
    birth.tell({ kind: "hooks" });
    awaitGo(birth.dialogue);
  }
  if ((spec.hooks?.createContainer.length ?? 0) > 0) runCreateContainerHooks(birth);
  failpoint("create.child.hooks");
  enterRoot(birth);
  if (devices) ownNull(birth);
  failpoint("create.child.root");
  makeWorkingDirectory(birth);
  if (birth.console !== null) {
    const devpts = birth.devpts?.number ?? null;
    setUpConsole(process, { root: birth.root.number, devpts, socket: birth.console, mountConsole: true });
  }
  if (plan.namespaces.has("mount")) closeRoot(birth);
  setUmask(process.spec.user.umask ?? DEFAULT_UMASK);
  setNames(birth);
  setSysctls(birth);
  protectPaths(birth);
  if (linux.personality !== null) setPersonality(domainOf(linux.personality));
}

/** They stand in the root filesystem, which is not / yet. */
function runCreateContainerHooks(birth: Birth): void {
  must("fchdir", birth.plan.rootfs, door().syscall(nr.SYS_fchdir, birth.root.number));
  const { createContainer: hooks } = birth.plan.spec.hooks!;
  const environment = birth.plan.process.spec.env;
  runHooks({ kind: "createContainer", hooks, environment, state: hookState(birth, "creating") });
}

function makeWorkingDirectory(birth: Birth): void {
  const { cwd } = birth.plan.process.spec;
  if (fs.stat(cwd) !== null) return;
  using made = ensureTarget(birth.root.number, cwd, "directory");
  made.close();
}

function hookState(birth: Birth, status: string) {
  const { id, bundle, spec } = birth.plan;
  return { id, pid: processId(), status, bundle, annotations: spec.annotations };
}
