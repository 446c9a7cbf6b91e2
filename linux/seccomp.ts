// Loading a seccomp filter program (struct sock_fprog) into this process.

import { door } from "./door.ts";
import { must } from "./errno.ts";
import * as nr from "./numbers.ts";

const SECCOMP_SET_MODE_FILTER = 1;
const INSTRUCTION_SIZE = 8;
/** include/uapi/linux/bpf_common.h BPF_MAXINSNS */
const INSTRUCTION_LIMIT = 4096;

export const SECCOMP_FILTER_FLAG_TSYNC = 1;
export const SECCOMP_FILTER_FLAG_LOG = 2;
export const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4;
export const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8;
export const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32;

/** Returns the notification descriptor with NEW_LISTENER, else 0. Needs no_new_privs or CAP_SYS_ADMIN. */
export function loadFilter(program: Uint8Array<ArrayBuffer>, flags: number): number {
  const length = program.length / INSTRUCTION_SIZE;
  if (length > INSTRUCTION_LIMIT)
    throw new RangeError(`a seccomp program has at most ${INSTRUCTION_LIMIT} instructions`);
  const header = BigInt64Array.of(BigInt(length), BigInt(door().address(program)));
  return must("seccomp", "", door().syscall(nr.SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, header));
}
