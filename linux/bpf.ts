// eBPF programs: loading one, and attaching it to a cgroup v2 directory.

import { door } from "./door.ts";
import { must } from "./errno.ts";
import { Fd } from "./fd.ts";
import * as nr from "./numbers.ts";

const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_F_ALLOW_MULTI = 2;
export const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
export const BPF_CGROUP_DEVICE = 6;
/** union bpf_attr up to prog_flags */
const LOAD_SIZE = 48;
const INSTRUCTION_SIZE = 8;

/** `instructions`: struct bpf_insn, eight bytes each. */
export function loadProgram(type: number, instructions: Uint8Array<ArrayBuffer>): Fd {
  const license = door().encode("Apache-2.0\0");
  const view = new DataView(new ArrayBuffer(LOAD_SIZE));
  view.setUint32(0, type, true);
  view.setUint32(4, instructions.length / INSTRUCTION_SIZE, true);
  view.setBigUint64(8, BigInt(door().address(instructions)), true);
  view.setBigUint64(16, BigInt(door().address(license)), true);
  const attributes = new Uint8Array(view.buffer);
  return new Fd(must("bpf", "program", door().syscall(nr.SYS_bpf, BPF_PROG_LOAD, attributes, LOAD_SIZE)));
}

/** Beside those of other owners: all must agree. The attachment lives as long as the cgroup. */
export function attachToCgroup(program: number, cgroup: number, type: number): void {
  const attributes = new Uint8Array(Uint32Array.of(cgroup, program, type, BPF_F_ALLOW_MULTI).buffer);
  must("bpf", "attach", door().syscall(nr.SYS_bpf, BPF_PROG_ATTACH, attributes, attributes.length));
}
