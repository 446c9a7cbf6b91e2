// Labels of a security module for the program: written to the kernel's attribute of this process, to count from execve
// on. Without such a module the kernel refuses, and that is told in the original's words.

import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { errnoSentence, SyscallFailure } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import type { ProcessSpec } from "../spec/schema.ts";

export const APPARMOR_FAILED = "apparmor failed to apply profile";

/** `proc`: a procfs of our own, asked for only when there is a label. */
export function setLabels(spec: Pick<ProcessSpec, "apparmorProfile" | "selinuxLabel">, proc: () => number): void {
  if (spec.apparmorProfile !== "") {
    const failure = writeLabel(proc(), ["self/attr/apparmor/exec", "self/attr/exec"], `exec ${spec.apparmorProfile}`);
    if (failure !== null) throw new Failure("failed_precondition", `${APPARMOR_FAILED}: ${failure}`);
  }
  if (spec.selinuxLabel !== "") {
    const failure = writeLabel(proc(), ["self/attr/exec"], spec.selinuxLabel);
    if (failure !== null) throw new Failure("failed_precondition", `can't set process label: ${failure}`);
  }
}

/** Null when written; what the last attempt said otherwise. "self" is a link of procfs's own making. */
function writeLabel(proc: number, names: readonly string[], label: string): string | null {
  let failure = "";
  for (const name of names) {
    try {
      using file = fs.open(name, fs.O_WRONLY, 0, proc);
      fs.writeAll(file.number, door().encode(label));
      return null;
    } catch (thrown) {
      if (!(thrown instanceof SyscallFailure)) throw thrown;
      failure = `write /proc/${name}: ${errnoSentence(thrown.errno)}`;
    }
  }
  return failure;
}
