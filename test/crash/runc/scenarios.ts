// The commands that the crash tests break off, each with what must be there before. After every crash the container is
// deleted by force, so the next round proves that its id can be used again.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { FAILPOINT_NAMES, type Failpoint } from "../../../container/failpoints.ts";
import type { Config } from "../../bundle.ts";
import type { CrashLab } from "./lab.ts";

export interface Scenario {
  name: string;
  /** Failpoints that this command passes. */
  places: readonly Failpoint[];
  bend?(config: Config): void;
  /** Commands that must succeed before, with ID for the container's id. */
  before: readonly (readonly string[])[];
  line: readonly string[];
  /** The order is for the process that the commands before make. */
  early?: boolean;
}

const ID = "ID";
const only = (...beginnings: string[]) =>
  FAILPOINT_NAMES.filter((name) => beginnings.some((beginning) => name.startsWith(beginning)));
const without = (names: readonly Failpoint[], ...out: Failpoint[]) => names.filter((name) => !out.includes(name));

function manySteps(config: Config): void {
  const hook = [{ path: "/bin/true", args: ["true"] }];
  config.hooks = { createRuntime: hook, createContainer: hook, poststart: hook, poststop: hook };
  config.linux.resources.memory = { limit: 64 << 20 };
  config.linux.seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["mkdir"], action: "SCMP_ACT_ERRNO" }],
  };
}

/** Through a helper: a new user namespace with a joined one. */
function joining(config: Config): void {
  manySteps(config);
  config.hooks = {};
  for (const namespace of config.linux.namespaces) if (namespace.type === "ipc") namespace.path = "/proc/self/ns/ipc";
  // The joined namespace's own file system is not the new user's to mount.
  config.mounts = config.mounts.filter(({ type }: { type: string }) => type !== "mqueue");
  config.linux.namespaces.push({ type: "user" });
  config.linux.uidMappings = config.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
}

const sharedPids = (config: Config) => {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }: { type: string }) => type !== "pid");
};

const RUN = ["run", "--detach", ID];
const created = without(only("create."), "create.helper.joined", "create.helper.cloned", "create.child.started");

export const SCENARIOS: readonly Scenario[] = [
  { name: "create", places: created, bend: manySteps, before: [], line: ["create", "--pid-file", "pid", ID] },
  {
    name: "create through a helper",
    places: without(only("create."), "create.child.started", "create.cgroups"),
    bend: joining,
    before: [],
    line: ["create", ID],
  },
  {
    name: "run",
    places: without(created, "create.returning"),
    bend: manySteps,
    before: [],
    line: RUN,
  },
  {
    name: "start",
    places: only("start."),
    bend: manySteps,
    before: [["create", ID]],
    line: ["start", ID],
  },
  {
    name: "start of a process that goes",
    places: ["create.child.started"],
    bend: manySteps,
    before: [["create", ID]],
    line: ["start", ID],
    early: true,
  },
  {
    name: "exec",
    places: only("exec."),
    bend: manySteps,
    before: [RUN],
    line: ["exec", "--pid-file", "pid", ID, "sleep", "0"],
  },
  {
    name: "update",
    places: only("update."),
    before: [RUN],
    line: ["update", "--memory", "128M", "--pids-limit", "9", ID],
  },
  { name: "pause", places: only("pause."), before: [RUN], line: ["pause", ID] },
  { name: "resume", places: only("resume."), before: [RUN, ["pause", ID]], line: ["resume", ID] },
  { name: "kill", places: only("kill."), before: [RUN], line: ["kill", ID, "KILL"] },
  { name: "delete --force", places: only("delete."), bend: manySteps, before: [RUN], line: ["delete", "--force", ID] },
  {
    name: "delete --force of a container in the host's pid namespace",
    places: only("delete."),
    bend: sharedPids,
    before: [RUN],
    line: ["delete", "--force", ID],
  },
  {
    name: "delete --force of a paused container",
    places: only("delete."),
    before: [RUN, ["pause", ID]],
    line: ["delete", "--force", ID],
  },
];

/** One round: what is wrong afterwards; null when the place was not passed. */
export function breakOff(lab: CrashLab, scenario: Scenario, order: string): string[] | null {
  const id = `${lab.tag}-crash`;
  const real = (line: readonly string[]) => line.map((word) => (word === ID ? id : word));
  const wrong: string[] = [];
  rmSync(join(lab.path, "pid"), { force: true });
  for (const line of scenario.before) {
    const { status } = scenario.early === true ? lab.crash(order, real(line)) : lab.runc(real(line));
    if (status !== 0 && scenario.early !== true) wrong.push(`before: ${line[0]}: ${lab.lastError()}`);
  }
  const { status, signal, said } = lab.crash(scenario.early === true ? "" : order, real(scenario.line));
  if (signal === "hung") wrong.push("the command hangs");
  // From 128 on it is the end of the program, which could not be told from its own.
  if (
    status !== 0 &&
    (status ?? 0) < 128 &&
    signal === null &&
    !/level"?[:=]"?error"?,? ?"?msg"?[:=]"[^"]{8}/.test(said)
  )
    wrong.push(`no reason: ${said}`);
  const state = lab.stateProblem(id);
  if (state !== null) wrong.push(state);
  if (lab.runc(["delete", "--force", id]).status !== 0) wrong.push(`delete --force: ${lab.lastError()}`);
  wrong.push(...lab.remains());
  if (!lab.reached() && wrong.length === 0) return null;
  return wrong.map((problem) => `${scenario.name}, ${order}: ${problem}`);
}
