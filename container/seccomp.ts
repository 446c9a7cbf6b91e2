// From linux.seccomp of config.json to a filter program. Compiling costs milliseconds, so a program is kept beside the
// containers under a name made of its rules: `<root>/.seccomp-<key>`, 0600 in a 0700 directory. The file repeats the
// rules whole and is used only if they are the same text, so a short key needs no trust.
//
//     file: "gantry-seccomp 1 <bytes of rules> <bytes of program> <sum of program>\n" rules program

import { concatBytes } from "../base/bytes.ts";
import { Failure } from "../base/errors.ts";
import { formatJson, type Json } from "../base/json.ts";
import { door } from "../linux/door.ts";
import { errnoSentence } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import * as linux from "../linux/seccomp.ts";
import { compileRules, readSeccomp } from "./spec/seccomp.ts";

const MAGIC = "gantry-seccomp 1";
/** Files kept; beyond it the directory's filters are thrown away and compiled again as they are needed. */
const CACHE_LIMIT = 64;

export interface Filter {
  program: Uint8Array<ArrayBuffer>;
  /** SECCOMP_FILTER_FLAG_* */
  flags: number;
  /** Where it is kept, to be linked into a container's directory; whether it is there is not certain. */
  file: string;
  rules: string;
}

const FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: linux.SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: linux.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: linux.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};

/** Null when config.json has no filter. */
export function prepareFilter(root: string, spec: Json): Filter | null {
  if (spec === null) return null;
  const rules = formatJson(spec);
  const file = `${root}/.seccomp-${keyOf(rules)}`;
  const kept = readKept(file, rules);
  const program = kept ?? compile(spec);
  if (kept === null) keep(root, file, { rules, program });
  return { program, flags: flagsOf(spec), file, rules };
}

function flagsOf(spec: Json): number {
  let flags = 0;
  if (typeof spec !== "object" || spec === null || Array.isArray(spec) || !Array.isArray(spec["flags"])) return 0;
  for (const name of spec["flags"]) {
    const bit = FLAGS[String(name)];
    if (bit === undefined)
      throw new Failure("invalid_argument", `seccomp flags ${JSON.stringify(name)} is not known to the kernel`);
    flags += (flags & bit) === 0 ? bit : 0;
  }
  return flags;
}

function compile(spec: Json): Uint8Array<ArrayBuffer> {
  const rules = compileRules(readSeccomp(spec, "linux.seccomp"));
  const program = door().seccomp(rules.defaultAction, rules.architectures, rules.names, rules.rules);
  if (typeof program === "number") {
    throw new Failure("invalid_argument", `error loading seccomp filter into kernel: ${errnoSentence(-program)}`);
  }
  return program;
}

/** Cheap and only a name: the length and a sum of some of the letters. */
function keyOf(rules: string): string {
  let hash = rules.length;
  const step = Math.max(1, Math.floor(rules.length / 256));
  for (let at = 0; at < rules.length; at += step) hash = (Math.imul(hash, 31) + rules.charCodeAt(at)) | 0;
  return (hash >>> 0).toString(16);
}

function sumOf(program: Uint8Array): number {
  let sum = program.length;
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  for (let at = 0; at + 4 <= program.length; at += 4) sum = (Math.imul(sum, 31) + view.getInt32(at, true)) | 0;
  return sum >>> 0;
}

function readKept(file: string, rules: string): Uint8Array<ArrayBuffer> | null {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    using kept = fs.open(file, fs.O_RDONLY | fs.O_NOFOLLOW);
    const { uid, mode } = fs.statFd(kept.number);
    if (uid !== 0 || (mode & 0o077) !== 0) return null;
    bytes = fs.readAll(kept.number);
  } catch {
    return null;
  }
  const end = bytes.indexOf(10);
  const head = end < 0 ? "" : door().decode(bytes, 0, end);
  const [, rulesLength, programLength, sum] = /^gantry-seccomp 1 (\d+) (\d+) (\d+)$/.exec(head)?.map(Number) ?? [];
  if (rulesLength === undefined || programLength === undefined) return null;
  const start = end + 1 + rulesLength;
  if (bytes.length !== start + programLength || door().decode(bytes, end + 1, start) !== rules) return null;
  const program = bytes.slice(start);
  return sumOf(program) === sum ? program : null;
}

/** A cache that cannot be written is no failure: the next start compiles again. */
function keep(root: string, file: string, { rules, program }: Pick<Filter, "rules" | "program">): void {
  try {
    fs.makeDirectories(root, 0o700);
    const old = fs.listDirectory(root).filter((entry) => entry.name.startsWith(".seccomp-"));
    if (old.length >= CACHE_LIMIT) for (const { name } of old) fs.unlinkIfThere(`${root}/${name}`);
    fs.replaceFile(file, fileOf({ rules, program }), 0o600);
  } catch {
    // Said by nobody: see above.
  }
}

function fileOf({ rules, program }: Pick<Filter, "rules" | "program">): Uint8Array<ArrayBuffer> {
  const text = door().encode(rules);
  const head = door().encode(`${MAGIC} ${text.length} ${program.length} ${sumOf(program)}\n`);
  return concatBytes([head, text, program]);
}

/** Gives a container its own name for the filter: a hard link, so that throwing the cache away takes nothing from it;
 *  a file of its own where the cache could not be written. */
export function giveFilter(filter: Filter, path: string): void {
  const linked = door().syscall(nr.SYS_linkat, fs.AT_FDCWD, filter.file, fs.AT_FDCWD, path, 0);
  if (linked < 0) fs.writeFile(path, fileOf(filter), 0o600);
}

/** The program of a container's own link, for exec. */
export function readLinked(file: string): Uint8Array<ArrayBuffer> {
  const bytes = fs.readFile(file);
  const end = bytes.indexOf(10);
  const [, rulesLength, programLength, sum] =
    /^gantry-seccomp 1 (\d+) (\d+) (\d+)$/.exec(door().decode(bytes, 0, Math.max(end, 0)))?.map(Number) ?? [];
  const program = bytes.slice(end + 1 + (rulesLength ?? 0));
  if (rulesLength === undefined || program.length !== programLength || sumOf(program) !== sum) {
    throw new Failure("data_loss", `${file} is damaged: the container's seccomp filter cannot be read`);
  }
  return program;
}
