// One more process in a container that runs. The parent must not move itself (the shim serves on), and nobody born in
// the container's pid namespace may still see the host, so a helper stands between:
//
//     parent ──clone──▶ helper (host's pids) ──cgroup, setns──clone3(CLONE_PARENT)──▶ child (all the container's)
//
// The helper ends at once. From a process born in the container's pids but still in the host's mounts, a container with
// CAP_SYS_PTRACE could take the host; the helper is not to be seen from there, and the child has nothing of the host.

import { Failure, messageOf } from "../base/errors.ts";
import { joinSessionKeyring, setPersonality, setUmask, trySetLimit } from "../linux/credential.ts";
import { EACCES, EBUSY, ENOENT, EPERM, EROFS, errnoOf } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import { openOwnProc } from "../linux/mount.ts";
import { NAMESPACES, type NamespaceKind, setNamespace } from "../linux/namespace.ts";
import { CLONE_PARENT, clone, exit, newSession, waitChild } from "../linux/process.ts";
import { kill, SIGKILL } from "../linux/signal.ts";
import { cgroupsOf, findHierarchies } from "./cgroups/hierarchies.ts";
import * as groups from "./cgroups/manager.ts";
import { failpoint } from "./failpoints.ts";
import { readLinked } from "./filters.ts";
import { setUpConsole } from "./init/console.ts";
import { execute, FIRST_EXTRA, limitFailure, loadListening, prepare } from "./init/execute.ts";
import { becomeMappedRoot, nameSelf } from "./init/main.ts";
import { setOomScore } from "./init/oom.ts";
import { withInitialAffinity } from "./init/priority.ts";
import {
  awaitGo,
  type ChildMessage,
  hear,
  MSG_DONTWAIT,
  openDialogue,
  say,
  sayAtLast,
  sayPlainly,
} from "./messages.ts";
import { handOverListener } from "./notify.ts";
import { type ProcessPlan, planProcess, readBundle } from "./plan.ts";
import { joinResctrl } from "./resctrl.ts";
import { prepareFilter } from "./seccomp.ts";
import type { ProcessSpec } from "./spec/schema.ts";
import { checkGroups } from "./spec/users.ts";
import { type Container, type ContainerRecord, holdInit, namespaceName, stateOf, statusOf } from "./state.ts";

const DEFAULT_UMASK = 0o022;

export interface ExecOptions {
  container: Container;
  process: ProcessSpec;
  ignorePaused: boolean;
  /** Below the container's own cgroup, by controller; "" for all. Null: the container's own. */
  subgroups: ReadonlyMap<string, string> | null;
  console: number | null;
  extraDescriptors: number;
  extraEnvironment: string[];
  warn(message: string): void;
  /** Null when nobody reads it. */
  debug: ((message: string) => void) | null;
}

export interface Executed {
  pid: number;
  release(): void;
  /** Null once the program runs, else why it does not. */
  outcome(): string | null;
}

export function execInContainer(options: ExecOptions): Executed {
  const { container } = options;
  const status = statusOf(container);
  if (status === "stopped") throw new Failure("failed_precondition", "cannot exec in a stopped container");
  if (status === "paused" && !options.ignorePaused) {
    throw new Failure("failed_precondition", "cannot exec in a paused container (use --ignore-paused to override)");
  }
  const plan = planOf(options);
  failpoint("exec.planned");
  const pid = deliverInto(options, plan);
  try {
    return converse(pid, plan, options);
  } catch (thrown) {
    kill(pid.pid, SIGKILL);
    waitChild(pid.pid);
    throw thrown;
  }
}

function planOf({ container, process, extraDescriptors, extraEnvironment, warn }: ExecOptions): ProcessPlan {
  const { record } = container;
  const { no_new_keyring: noNewKeyring, uid_mappings: mappings } = record.config;
  checkGroups(record.config.rootless_euid === true, process.user.additionalGids);
  const warnings: string[] = [];
  const plan = planProcess(process, {
    filter: filterOf(container),
    limitsByParent: mappings !== null,
    keepsGroups: record.config.rootless_euid === true,
    memoryPolicy: record.config.memory_policy ?? null,
    ...{ noNewKeyring, extraDescriptors, extraEnvironment, warnings },
  });
  for (const warning of warnings) warn(warning);
  return plan;
}

/** Kept by us as a program; a container that the original made has its rules in its bundle. */
function filterOf(container: Container): ProcessPlan["filter"] {
  const { seccomp_flags: flags, seccomp_listener: listener, seccomp } = container.record.config;
  if (flags !== null && flags !== undefined) {
    return { program: readLinked(container.paths.filter), flags, listener: listener ?? null };
  }
  if (seccomp === null || seccomp === undefined) return null;
  const { bundle } = stateOf(container);
  const filter = prepareFilter(container.paths.root, readBundle(bundle).linux?.seccomp ?? null);
  if (filter !== null) return filter;
  throw new Failure("failed_precondition", `the container has a seccomp filter, but ${bundle} does not say its rules`);
}

interface Born {
  pid: number;
  dialogue: fs.Fd;
  /** What the child said before the helper could name it: both speak over one pair of sockets. */
  heard: ChildMessage[];
}

function deliverInto(options: ExecOptions, plan: ProcessPlan): Born {
  const { container } = options;
  const dialogue = openDialogue();
  using child = dialogue.child;
  using init = openInit(container);
  const cgroups = cgroupsFor(container.record, options.subgroups);
  const tasks = joining(() => openAllowedTasks(container.record, cgroups));
  let birthplace = joining(() => groups.openBirthplace(cgroups));
  let helper: { pid: number };
  try {
    helper = withInitialAffinity(plan.spec.execCPUAffinity, () => cloneInto(birthplace));
  } catch (thrown) {
    birthplace?.close();
    birthplace = otherPlace(options, thrown);
    helper = cloneInto(birthplace);
  }
  if (helper.pid === 0) {
    dialogue.parent.close();
    birthplace?.close();
    helpIn({ options, plan, init, tasks, dialogue: child.number });
  }
  failpoint("exec.cloned");
  birthplace?.close();
  for (const file of tasks) file.close();
  const heard: ChildMessage[] = [];
  // It waits for nobody, so first its end: what it had to say lies there then, or it was killed and will never say it.
  waitChild(helper.pid);
  const next = () => hear<ChildMessage>(dialogue.parent.number, MSG_DONTWAIT);
  let said = next();
  for (; said !== null && !isFromHelper(said); said = next()) heard.push(said);
  if (said?.kind === "born") return { pid: said.pid, dialogue: dialogue.parent, heard };
  dialogue.parent.close();
  throw new Failure(
    "failed_precondition",
    said?.kind === "failed" ? said.message : "the joining process died unexpectedly",
  );
}

/** Where to be born when the kernel refuses the container's own cgroup (v2). */
function otherPlace({ container: { record }, subgroups }: ExecOptions, thrown: unknown): fs.Fd | null {
  const errno = errnoOf(thrown);
  // One that hands controllers on takes no processes itself (an init system runs in the container): then beside
  // the container's first process, wherever that has moved.
  if (errno === EBUSY && subgroups === null) return fs.open(placeOfInit(record), fs.O_RDONLY | fs.O_DIRECTORY);
  // Without rights over the cgroup that this process and the container have in common: where we are, as the original.
  if ((errno === EACCES || errno === EPERM) && record.config.rootless_cgroups === true) return null;
  throw thrown;
}

function joining<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (thrown) {
    throw new Failure("failed_precondition", `error adding pid to cgroups: ${messageOf(thrown)}`, { cause: thrown });
  }
}

function cloneInto(cgroup: fs.Fd | null): { pid: number } {
  return clone({ flags: 0n, cgroup: cgroup?.number ?? null, pidfd: false });
}

function placeOfInit({ cgroup_paths: paths, init_process_pid: pid }: ContainerRecord): string {
  const hierarchy = findHierarchies().find(({ name }) => name === "");
  return `${hierarchy?.mountpoint ?? paths[""]}${cgroupsOf(pid).get("") ?? ""}`;
}

/** The helper's only words are these; a failure of the child is never early. */
function isFromHelper(message: ChildMessage): boolean {
  return message.kind === "born" || (message.kind === "failed" && message.early);
}

function openInit({ record }: Container): fs.Fd {
  const pidfd = holdInit(record);
  if (pidfd !== null) return pidfd;
  throw new Failure("failed_precondition", "cannot exec in a stopped container");
}

function cgroupsFor(record: ContainerRecord, subgroups: ExecOptions["subgroups"]): groups.Cgroups {
  const unified = Object.keys(record.cgroup_paths).every((name) => name === "");
  const paths: Record<string, string> = {};
  for (const name of subgroups?.keys() ?? []) {
    if (name !== "" && record.cgroup_paths[name] === undefined) {
      throw new Failure("invalid_argument", `unknown controller ${name} in SubCgroupPaths`);
    }
  }
  for (const [name, path] of Object.entries(record.cgroup_paths)) {
    const below = subgroups?.get(name) ?? subgroups?.get("") ?? "";
    if (below.split("/").includes("..")) throw new Failure("invalid_argument", `bad sub cgroup path: ${below}`);
    paths[name] = `${path}/${below}`.replace(/\/+$/, "");
  }
  return { paths, unified: unified && Object.keys(paths).length > 0 };
}

/** A runtime that may lack rights over cgroups leaves out what it is refused. */
function openAllowedTasks({ config }: ContainerRecord, cgroups: groups.Cgroups): fs.Fd[] {
  if (config.rootless_cgroups !== true) return groups.openTasks(cgroups);
  const files: fs.Fd[] = [];
  for (const [name, path] of Object.entries(cgroups.paths)) {
    try {
      files.push(...groups.openTasks({ paths: { [name]: path }, unified: false }));
    } catch (thrown) {
      if (![EACCES, EPERM, EROFS, ENOENT].includes(errnoOf(thrown))) throw thrown;
    }
  }
  return files;
}

interface Help {
  options: ExecOptions;
  plan: ProcessPlan;
  init: fs.Fd;
  tasks: readonly fs.Fd[];
  dialogue: number;
}

function helpIn(help: Help): never {
  const { options, plan, init, tasks, dialogue } = help;
  const { record } = options.container;
  try {
    setOomScore(plan, "self");
    nameSelf();
    groups.joinTasks(tasks);
    setNamespace(init.number, namespaceFlags(record), "the container's namespaces");
    init.close();
    if (record.config.uid_mappings !== null) becomeMappedRoot(plan.keepsGroups);
    failpoint("exec.helper.joined");
    const { pid } = clone({ flags: BigInt(CLONE_PARENT), cgroup: null, pidfd: false });
    if (pid === 0) beginExec(help);
    failpoint("exec.helper.cloned");
    say(dialogue, { kind: "born", pid });
  } catch (thrown) {
    sayAtLast(dialogue, { kind: "failed", message: messageOf(thrown), early: true });
    exit(1);
  }
  exit(0);
}

/** Those the container does not share with the runtime; joining one's own user namespace is refused by the kernel. */
function namespaceFlags(record: ContainerRecord): number {
  const types = new Set(record.config.namespaces.map((namespace) => namespace.type));
  let flags = 0;
  for (const kind of Object.keys(NAMESPACES) as NamespaceKind[]) {
    if (types.has(namespaceName(kind))) flags += NAMESPACES[kind].flag;
  }
  return flags;
}

/** The new process: it is in all namespaces already. */
function beginExec({ options, plan, dialogue }: Help): never {
  const { record } = options.container;
  const report = (message: string) => sayPlainly(dialogue, { kind: "failed", message, early: false });
  let proc: fs.Fd | null = null;
  const ownProc = () => {
    proc ??= openOwnProc();
    return proc.number;
  };
  const stage = (message: string) => {
    if (options.debug !== null) say(dialogue, { kind: "debug", message });
  };
  try {
    nameSelf();
    // As for a container's first process: nothing open here is to be named by what is in the container.
    fs.closeAllBut([dialogue, options.console ?? dialogue], FIRST_EXTRA + plan.extraDescriptors);
    stage("nsexec container setup");
    stage("child process in init()");
    failpoint("exec.child.begun");
    newSession();
    if (!plan.noNewKeyring) joinSessionKeyring(`_ses.${record.id}`, record.config.uid_mappings !== null);
    if (options.console !== null) {
      using root = fs.open("/", fs.O_PATH | fs.O_DIRECTORY);
      setUpConsole(plan, { root: root.number, devpts: null, socket: options.console, mountConsole: false });
    }
    setUmask(plan.spec.user.umask ?? DEFAULT_UMASK);
    if (record.config.personality) setPersonality(record.config.personality.domain);
    const prepared = prepare(plan, ownProc, (message) => say(dialogue, { kind: "warning", message }));
    stage("setns_init: about to exec");
    failpoint("exec.child.prepared");
    say(dialogue, { kind: "ready" });
    awaitGo(dialogue);
    failpoint("exec.child.released");
    loadListening(plan, dialogue);
    execute(prepared, report);
  } catch (thrown) {
    try {
      report(messageOf(thrown));
    } catch {
      // The parent is gone; this copy of it must not go on as one.
    }
  }
  exit(1);
}

function converse({ pid, dialogue, heard }: Born, plan: ProcessPlan, options: ExecOptions): Executed {
  for (;;) {
    const message = heard.shift() ?? hear<ChildMessage>(dialogue.number);
    if (message === null) throw new Failure("failed_precondition", "the process died before its program began");
    if (message.kind === "failed") throw new Failure("failed_precondition", message.message);
    if (message.kind === "warning") options.warn(message.message);
    if (message.kind === "debug") options.debug?.(message.message);
    if (message.kind === "ready") break;
  }
  failpoint("exec.ready");
  const { intel_rdt_path: resctrl } = options.container.record;
  if (resctrl !== "") joinResctrl(resctrl, pid);
  for (const limit of plan.limitsByParent ? plan.limits : []) {
    const result = trySetLimit(pid, limit);
    if (result < 0) throw limitFailure(limit.resource, result);
  }
  if (plan.filter?.listener) {
    const { id, bundle, annotations, ...rest } = stateOf(options.container);
    const state = { id, pid: rest.pid, status: "running", bundle, annotations };
    handOverListener({ dialogue: dialogue.number, pid, listener: plan.filter.listener, state });
  }
  return {
    pid,
    release: () => say(dialogue.number, { kind: "go" }),
    outcome() {
      using open = dialogue;
      const message = hear<ChildMessage>(open.number);
      return message?.kind === "failed" ? message.message : null;
    },
  };
}
