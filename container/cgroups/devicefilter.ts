// The device rules on cgroup v2: a program that the kernel asks for every open and mknod of a device.
// Its argument: u32 type (low half) and access (high half), u32 major, u32 minor; its answer: 1 to allow.

import { attachToCgroup, BPF_CGROUP_DEVICE, BPF_PROG_TYPE_CGROUP_DEVICE, loadProgram } from "../../linux/bpf.ts";
import { O_DIRECTORY, O_RDONLY, open } from "../../linux/fd.ts";
import type { DevicePolicy } from "./devices.ts";

// include/uapi/linux/bpf.h
const TYPES: Readonly<Record<string, number>> = { b: 1, c: 2 };
const ACCESSES: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const EVERY_ACCESS = 7;

// Operations of the instruction set (Documentation/bpf/standardization/instruction-set.rst)
const LOAD_WORD = 0x61;
const AND_NUMBER = 0x54;
const SHIFT_RIGHT = 0x74;
const SET_NUMBER = 0xb4;
const SET_REGISTER = 0xbc;
const JUMP_IF_EQUAL = 0x15;
const JUMP_IF_NOT_EQUAL = 0x55;
const EXIT = 0x95;

const [RESULT, CONTEXT, TYPE, ACCESS, MAJOR, MINOR, SCRATCH] = [0, 1, 2, 3, 4, 5, 6];

interface Instruction {
  code: number;
  to?: number;
  from?: number;
  offset?: number;
  number?: number;
}

export function attachDeviceFilter(directory: string, policy: DevicePolicy): void {
  using program = loadProgram(BPF_PROG_TYPE_CGROUP_DEVICE, encode(deviceProgram(policy)));
  using cgroup = open(directory, O_RDONLY | O_DIRECTORY);
  attachToCgroup(program.number, cgroup.number, BPF_CGROUP_DEVICE);
}

export function deviceProgram(policy: DevicePolicy): Instruction[] {
  const program: Instruction[] = [
    { code: LOAD_WORD, to: TYPE, from: CONTEXT, offset: 0 },
    { code: AND_NUMBER, to: TYPE, number: 0xffff },
    { code: LOAD_WORD, to: ACCESS, from: CONTEXT, offset: 0 },
    { code: SHIFT_RIGHT, to: ACCESS, number: 16 },
    { code: LOAD_WORD, to: MAJOR, from: CONTEXT, offset: 4 },
    { code: LOAD_WORD, to: MINOR, from: CONTEXT, offset: 8 },
  ];
  for (const [key, access] of policy.exceptions) program.push(...exception(key, access, policy.allowByDefault));
  return [...program, ...answer(policy.allowByDefault)];
}

/** One exception from the default: tests that jump past its answer. An allowed one must cover all that is asked; a
 *  denied one need only meet a part of it. */
function exception(key: string, access: string, allowByDefault: boolean): Instruction[] {
  const [, type, major, minor] = /^(.) (.+):(.+)$/.exec(key)!;
  const bits = [...access].reduce((sum, letter) => sum + ACCESSES[letter]!, 0);
  const tests: Instruction[] = [{ code: JUMP_IF_NOT_EQUAL, to: TYPE, number: TYPES[type!]! }];
  if (bits !== EVERY_ACCESS) {
    tests.push({ code: SET_REGISTER, to: SCRATCH, from: ACCESS });
    tests.push({ code: AND_NUMBER, to: SCRATCH, number: allowByDefault ? bits : EVERY_ACCESS - bits });
    tests.push({ code: allowByDefault ? JUMP_IF_EQUAL : JUMP_IF_NOT_EQUAL, to: SCRATCH, number: 0 });
  }
  if (major !== "*") tests.push({ code: JUMP_IF_NOT_EQUAL, to: MAJOR, number: Number(major) });
  if (minor !== "*") tests.push({ code: JUMP_IF_NOT_EQUAL, to: MINOR, number: Number(minor) });
  const then = answer(!allowByDefault);
  const jumps = [JUMP_IF_EQUAL, JUMP_IF_NOT_EQUAL];
  return [
    ...tests.map((test, at) =>
      jumps.includes(test.code) ? { ...test, offset: tests.length - at - 1 + then.length } : test,
    ),
    ...then,
  ];
}

function answer(allow: boolean): Instruction[] {
  return [{ code: SET_NUMBER, to: RESULT, number: allow ? 1 : 0 }, { code: EXIT }];
}

/** struct bpf_insn: u8 code; u8 registers (low half to, high half from); s16 offset; s32 number */
function encode(program: readonly Instruction[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(program.length * 8));
  program.forEach(({ code, to = 0, from = 0, offset = 0, number = 0 }, index) => {
    view.setUint8(index * 8, code);
    view.setUint8(index * 8 + 1, to + from * 16);
    view.setInt16(index * 8 + 2, offset, true);
    view.setInt32(index * 8 + 4, number, true);
  });
  return new Uint8Array(view.buffer);
}
