// What another shim must know to take a task over when this one is killed: files in the bundle, written whole (rename)
// at each change, read strictly. A damaged one, or one of another boot, means that the task cannot be taken over.
//
//     <bundle>/task.json                   the first process, its runtime, its streams, its end once it is known
//     <bundle>/execs/<exec id>/process.json   one that was executed in it, beside its pipes

import { TASK_RECORD } from "../../api/task/extensions.ts";
import { Failure } from "../../base/errors.ts";
import {
  listDirectory,
  makeDirectories,
  readText,
  readTextIfThere,
  removeDirectory,
  stat,
  unlinkIfThere,
} from "../../linux/fd.ts";
import type { Group } from "./cgroup/group.ts";
import { RECORD_LIMIT } from "./limits.ts";
import type { Log } from "./log.ts";
import type { StdioNames } from "./process.ts";
import type { Ended } from "./reaper.ts";
import { endedOf, type Fields, keepRecord, parseRecordOfBoot, strictly } from "./record-file.ts";

export interface ProcessRecord {
  pid: number;
  /** As /proc tells it: the pid means this process only with it. */
  startTime: string;
  stdio: StdioNames;
  ended: Ended | null;
}

export interface TaskRecord extends ProcessRecord {
  id: string;
  namespace: string;
  runtime: { command: string; root: string; systemdCgroup: boolean };
  ioUid: number;
  ioGid: number;
  criuWork: string;
  group: Group;
  /** Where the shim holds the first process: a daemon may hold it, too, and pass it on. */
  holder: { shim: number; pidfd: number };
}

export function taskRecordPath(bundle: string): string {
  return `${bundle}/${TASK_RECORD}`;
}

/** What the names of an exec's files begin with. */
export function execPlace(bundle: string, execId: string): string {
  return `${bundle}/execs/${execId}/`;
}

/** Without a record the process lives all the same: a failure is only said. */
export function keepTask(log: Log, bundle: string, record: TaskRecord): void {
  const { group, ...plain } = record;
  const { unified, directories } = group;
  keepRecord(log, taskRecordPath(bundle), { ...plain, group: { unified, directories: [...directories] } });
}

/** The task is no more: there is nothing to take over. */
export function removeTaskRecord(bundle: string): void {
  unlinkIfThere(taskRecordPath(bundle));
}

export function makeExecPlace(bundle: string, execId: string): void {
  makeDirectories(`${bundle}/execs/${execId}`, 0o700);
}

export function keepExec(log: Log, exec: { bundle: string; execId: string }, record: ProcessRecord): void {
  keepRecord(log, `${execPlace(exec.bundle, exec.execId)}process.json`, { ...record });
}

export function removeExecPlace(bundle: string, execId: string): void {
  const place = execPlace(bundle, execId);
  // A shim that was killed while it wrote one leaves the other.
  for (const name of ["process.json", "process.json.tmp"]) unlinkIfThere(`${place}${name}`);
  if (stat(place) !== null) removeDirectory(place);
}

/** Throws Failure "not_found" when there is none, "failed_precondition" when it cannot be used. */
export function readTaskRecord(bundle: string): TaskRecord {
  const text = readTextIfThere(taskRecordPath(bundle), RECORD_LIMIT);
  if (text === null) throw new Failure("not_found", "the bundle has no record of its task");
  return strictly(TASK_RECORD, () => {
    const whole = parseRecordOfBoot(text);
    const [runtime, holder, group] = [whole.part("runtime"), whole.part("holder"), whole.part("group")];
    return {
      ...processOf(whole),
      id: whole.text("id"),
      namespace: whole.text("namespace"),
      runtime: {
        command: runtime.text("command"),
        root: runtime.text("root"),
        systemdCgroup: runtime.truth("systemdCgroup"),
      },
      ioUid: whole.number("ioUid"),
      ioGid: whole.number("ioGid"),
      criuWork: whole.text("criuWork"),
      group: { unified: group.truth("unified"), directories: group.pairs("directories") },
      holder: { shim: holder.number("shim"), pidfd: holder.number("pidfd") },
    };
  });
}

/** Those that can be read; the names of the others in `damaged`. */
export function readExecRecords(bundle: string): { execs: Map<string, ProcessRecord>; damaged: string[] } {
  const execs = new Map<string, ProcessRecord>();
  const damaged: string[] = [];
  if (stat(`${bundle}/execs`) === null) return { execs, damaged };
  for (const { name } of listDirectory(`${bundle}/execs`)) {
    try {
      const text = readText(`${execPlace(bundle, name)}process.json`, RECORD_LIMIT);
      execs.set(
        name,
        strictly(`execs/${name}/process.json`, () => processOf(parseRecordOfBoot(text))),
      );
    } catch {
      damaged.push(name);
    }
  }
  return { execs, damaged };
}

function processOf(whole: Fields): ProcessRecord {
  const stdio = whole.part("stdio");
  return {
    pid: whole.number("pid"),
    startTime: whole.text("startTime"),
    stdio: {
      stdin: stdio.text("stdin"),
      stdout: stdio.text("stdout"),
      stderr: stdio.text("stderr"),
      terminal: stdio.truth("terminal"),
    },
    ended: endedOf(whole),
  };
}
