// linux.seccomp of config.json: read, checked with runc's wording, and flattened for the compiler
// (host/src/seccomp.rs).

import { Failure } from "../../base/errors.ts";
import { lookUp } from "../../base/lookup.ts";
import { list, optional, or, type Read, record, text, uint32, uint64 } from "./fields.ts";

const argument = record({ index: uint32, value: or(uint64, 0n), valueTwo: or(uint64, 0n), op: text });

const rule = record({
  names: list(text),
  action: text,
  errnoRet: optional(uint32),
  args: list(argument),
});

export const readSeccomp = record({
  defaultAction: text,
  defaultErrnoRet: optional(uint32),
  architectures: list(text),
  flags: list(text),
  listenerPath: or(text, ""),
  listenerMetadata: or(text, ""),
  syscalls: list(rule),
});

export type SeccompSpec = Read<typeof readSeccomp>;

const EPERM = 1;
const ENOSYS = 38;
// include/uapi/linux/seccomp.h
const ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: 0x00000000,
  SCMP_ACT_KILL_THREAD: 0x00000000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_NOTIFY: 0x7fc00000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};
export const SECCOMP_ACTIONS = [...Object.keys(ACTIONS)];

const OPERATORS: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};
export const SECCOMP_OPERATORS = [...Object.keys(OPERATORS)];

/** The specification's names and libseccomp's. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  SCMP_ARCH_X86: "x86",
  SCMP_ARCH_X86_64: "x86_64",
  SCMP_ARCH_X32: "x32",
  SCMP_ARCH_ARM: "arm",
  SCMP_ARCH_AARCH64: "aarch64",
  SCMP_ARCH_MIPS: "mips",
  SCMP_ARCH_MIPS64: "mips64",
  SCMP_ARCH_MIPS64N32: "mips64n32",
  SCMP_ARCH_MIPSEL: "mipsel",
  SCMP_ARCH_MIPSEL64: "mipsel64",
  SCMP_ARCH_MIPSEL64N32: "mipsel64n32",
  SCMP_ARCH_PPC: "ppc",
  SCMP_ARCH_PPC64: "ppc64",
  SCMP_ARCH_PPC64LE: "ppc64le",
  SCMP_ARCH_RISCV64: "riscv64",
  SCMP_ARCH_S390: "s390",
  SCMP_ARCH_S390X: "s390x",
  SCMP_ARCH_LOONGARCH64: "loongarch64",
};
export const SECCOMP_ARCHITECTURES = [...Object.keys(ARCHITECTURES)];

export interface FlatRules {
  defaultAction: number;
  architectures: string[];
  names: string[];
  rules: Uint8Array;
  /** For system calls newer than all that are named; -1: the default action. */
  unknownAction: number;
  /** Whether a rule asks a listener. */
  listens: boolean;
}

/** Under these a system call that is not named goes on, or its tracer knows what to do: it needs no answer of ours. */
const PERMISSIVE = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"];

function actionOf(name: string, errno: number | null): number {
  const action = lookUp(ACTIONS, name);
  if (action === undefined) throw new Failure("invalid_argument", `string ${name} is not a valid action for seccomp`);
  const carries = name === "SCMP_ACT_ERRNO" || name === "SCMP_ACT_TRACE";
  return carries ? action + ((errno ?? EPERM) & 0xffff) : action;
}

interface FlatRule {
  action: number;
  name: string;
  comparisons: [index: number, operator: number, value: bigint, second: bigint][];
}

export function compileRules(spec: SeccompSpec): FlatRules {
  if (spec.defaultAction === "")
    throw new Failure("invalid_argument", "config.json: linux.seccomp.defaultAction is empty");
  const defaultAction = actionOf(spec.defaultAction, spec.defaultErrnoRet);
  const listens = spec.syscalls.some((entry) => entry.action === "SCMP_ACT_NOTIFY");
  checkNotify(spec);
  const architectures = spec.architectures.map((name) => {
    const known = lookUp(ARCHITECTURES, name);
    if (known === undefined) throw new Failure("invalid_argument", `string ${name} is not a valid arch for seccomp`);
    return known;
  });
  const rules = onlyOnce(spec.syscalls.flatMap((entry) => flattenRule(entry, defaultAction)));
  // Those of rules that say nothing new count, too: whoever wrote them knew these calls.
  const names = [...new Set(spec.syscalls.flatMap((entry) => entry.names))];
  // A C library takes "no such call" as the reason to try an older one, and anything else as the answer.
  const unknownAction = PERMISSIVE.includes(spec.defaultAction) ? -1 : ACTIONS["SCMP_ACT_ERRNO"]! + ENOSYS;
  return { defaultAction, architectures, names, rules: encode(rules, names), unknownAction, listens };
}

/** The process tells its parent of the listener by write, after the filter is loaded. */
function checkNotify({ defaultAction, syscalls }: SeccompSpec): void {
  if (syscalls.some(({ action, names }) => action === "SCMP_ACT_NOTIFY" && names.includes("write"))) {
    throw new Failure("invalid_argument", "SCMP_ACT_NOTIFY cannot be used for the write syscall");
  }
  if (defaultAction === "SCMP_ACT_NOTIFY") {
    throw new Failure("invalid_argument", "SCMP_ACT_NOTIFY cannot be used as default action");
  }
}

/** Rules said again say nothing, and the compiler's time grows with the square of their number. */
function onlyOnce(rules: readonly FlatRule[]): FlatRule[] {
  const seen = new Set<string>();
  return rules.filter(({ action, name, comparisons }) => {
    const key = `${name} ${action} ${comparisons.join(" ")}`;
    return !seen.has(key) && seen.add(key) !== null;
  });
}

function flattenRule(entry: SeccompSpec["syscalls"][number], defaultAction: number): FlatRule[] {
  const action = actionOf(entry.action, entry.errnoRet);
  if (entry.names.length === 0)
    throw new Failure("invalid_argument", "config.json: a seccomp rule names no system call");
  // A rule that repeats the default says nothing, and libseccomp refuses it.
  if (action === defaultAction) return [];
  const comparisons = entry.args.map((argument): FlatRule["comparisons"][number] => {
    const operator = lookUp(OPERATORS, argument.op);
    if (operator === undefined) {
      throw new Failure("invalid_argument", `string ${argument.op} is not a valid operator for seccomp`);
    }
    if (argument.index > 5) throw new Failure("invalid_argument", "a system call has at most six arguments");
    return [argument.index, operator, argument.value, argument.valueTwo];
  });
  // libseccomp joins comparisons of one rule by "and" and cannot compare one argument twice in it: as runc does,
  // such a rule becomes one rule per comparison (an "or").
  const twice = new Set(comparisons.map(([index]) => index)).size < comparisons.length;
  const groups = twice ? comparisons.map((one) => [one]) : [comparisons];
  return entry.names.flatMap((name) => groups.map((group) => ({ action, name, comparisons: group })));
}

/** Heads of 16 bytes (action, name, comparisons, 0), each followed by comparisons of 24 bytes. */
function encode(rules: readonly FlatRule[], names: readonly string[]): Uint8Array {
  const at = new Map(names.map((name, index) => [name, index]));
  const size = rules.reduce((sum, entry) => sum + 16 + 24 * entry.comparisons.length, 0);
  const view = new DataView(new ArrayBuffer(size));
  let offset = 0;
  for (const { action, name, comparisons } of rules) {
    view.setUint32(offset, action, true);
    view.setUint32(offset + 4, at.get(name)!, true);
    view.setUint32(offset + 8, comparisons.length, true);
    offset += 16;
    for (const [index, operator, value, second] of comparisons) {
      view.setUint32(offset, index, true);
      view.setUint32(offset + 4, operator, true);
      view.setBigUint64(offset + 8, value, true);
      view.setBigUint64(offset + 16, second, true);
      offset += 24;
    }
  }
  return new Uint8Array(view.buffer);
}
