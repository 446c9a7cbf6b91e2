// Named places in a container's life at which a crash test stops, fails or kills the process that comes by. The list is
// walked by test/crash; the shipped programs contain neither the places nor a way to arm one: the build answers
// FAILPOINTS with false and the calls are gone (tools/build/programs.ts).

declare const FAILPOINTS: boolean;

/** In the order in which a life passes them: "command.what has just happened"; `child` and `helper` are processes of
 *  their own. */
export const FAILPOINT_NAMES = [
  "create.planned",
  "create.claimed",
  "create.noted",
  "create.cgroups",
  "create.cloned",
  "create.helper.joined",
  "create.helper.cloned",
  "create.child.begun",
  "create.child.namespaces",
  "create.child.mounts",
  "create.child.cgroups",
  "create.child.hooks",
  "create.child.root",
  "create.child.prepared",
  "create.recorded",
  "create.ready",
  "create.returning",
  "create.child.released",
  "start.opened",
  "start.read",
  "start.unlinked",
  "create.child.started",
  "exec.planned",
  "exec.cloned",
  "exec.helper.joined",
  "exec.helper.cloned",
  "exec.child.begun",
  "exec.child.prepared",
  "exec.ready",
  "exec.child.released",
  "update.begun",
  "update.done",
  "pause.frozen",
  "resume.thawed",
  "kill.sent",
  "delete.locked",
  "delete.killed",
  "delete.cgroups",
  "delete.record",
  "delete.directory",
  "delete.hooks",
] as const;

export type Failpoint = (typeof FAILPOINT_NAMES)[number];

let strike: (name: Failpoint) => void = () => {};

/** For the crash test's own executable alone. */
export function armFailpoints(armed: (name: Failpoint) => void): void {
  strike = armed;
}

export function failpoint(name: Failpoint): void {
  if (typeof FAILPOINTS !== "undefined" && FAILPOINTS) strike(name);
}
