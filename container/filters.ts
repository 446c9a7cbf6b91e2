// Compiled seccomp programs on disk. Compiling costs milliseconds, so a program is kept beside the containers under a
// name made of its rules, `<root>/.seccomp-<key>`, and linked into each container that uses it, for exec. The file
// repeats the rules whole and is used only if they are the same text, so a short key needs no trust; rules that share a
// key take the next slot. Files are written aside and renamed: a reader sees one whole or not at all.
//
//     file: "gantry-seccomp 2 <bytes of rules> <bytes of program> <sum of program> <listens>\n" rules program

import { concatBytes } from "../base/bytes.ts";
import { Failure } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { effectiveUser, processId } from "../linux/process.ts";

const MAGIC = "gantry-seccomp 2";
const HEAD = /^gantry-seccomp 2 (\d+) (\d+) (\d+) ([01])$/;
const PREFIX = ".seccomp-";
/** Files kept; beyond it the directory's filters are thrown away and compiled again as they are needed. */
const CACHE_LIMIT = 64;
/** Sets of rules with one key that are kept beside each other. */
const SLOTS = 4;

export interface Compiled {
  program: Uint8Array<ArrayBuffer>;
  /** Whether some rule asks a listener (SCMP_ACT_NOTIFY). */
  listens: boolean;
}

export interface KeptFilter extends Compiled {
  rules: string;
  /** Where it is kept, and as which file; null when it could not be. */
  place: { file: string; inode: bigint } | null;
}

/** From the cache of `root`, or compiled now and kept there. */
export function findFilter(root: string, rules: string, compile: () => Compiled): KeptFilter {
  const name = `${root}/${PREFIX}${keyOf(rules)}`;
  let file = name;
  for (let slot = 1; slot <= SLOTS; slot++) {
    const found = readKept(file, rules);
    if (found === "other rules" && slot < SLOTS) file = `${name}-${slot}`;
    else if (typeof found === "object") return found;
    else break;
  }
  const compiled = compile();
  return { ...compiled, rules, place: keep(root, file, fileOf(rules, compiled)) };
}

/** Cheap and only a name: the length and a sum of some of the letters. */
export function keyOf(rules: string): string {
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

function readKept(file: string, rules: string): KeptFilter | "other rules" | "nothing" {
  let bytes: Uint8Array<ArrayBuffer>;
  let inode: bigint;
  try {
    using kept = fs.open(file, fs.O_RDONLY | fs.O_NOFOLLOW | fs.O_NONBLOCK);
    const found = fs.statFd(kept.number);
    if (found.uid !== effectiveUser() || (found.mode & (fs.S_IFMT | 0o077)) !== fs.S_IFREG) return "nothing";
    inode = found.inode;
    bytes = fs.readAll(kept.number);
  } catch {
    return "nothing";
  }
  const parts = partsOf(bytes);
  if (parts === null) return "nothing";
  if (door().decode(bytes, parts.rules, parts.program) !== rules) return "other rules";
  return { program: bytes.slice(parts.program), listens: parts.listens, rules, place: { file, inode } };
}

/** Where rules and program begin; null when the file is damaged. */
function partsOf(bytes: Uint8Array<ArrayBuffer>): { rules: number; program: number; listens: boolean } | null {
  const end = bytes.indexOf(10);
  const head = HEAD.exec(end < 0 ? "" : door().decode(bytes, 0, end));
  if (head === null) return null;
  const [rulesLength, programLength, sum, listens] = head.slice(1).map(Number) as [number, number, number, number];
  const program = end + 1 + rulesLength;
  if (bytes.length !== program + programLength || sumOf(bytes.slice(program)) !== sum) return null;
  return { rules: end + 1, program, listens: listens === 1 };
}

/** A cache that cannot be written is no failure: the next start compiles again. */
function keep(root: string, file: string, content: Uint8Array): KeptFilter["place"] {
  // Two that write at once must not write into one file.
  const aside = `${file}.${processId()}.tmp`;
  try {
    fs.makeDirectories(root, 0o700);
    const old = fs.listDirectory(root).filter((entry) => entry.name.startsWith(PREFIX));
    if (old.length >= CACHE_LIMIT) for (const { name } of old) fs.unlinkIfThere(`${root}/${name}`);
    fs.unlinkIfThere(aside);
    using made = fs.open(aside, fs.O_WRONLY | fs.O_CREAT | fs.O_EXCL, 0o600);
    fs.writeAll(made.number, content);
    const { inode } = fs.statFd(made.number);
    fs.rename(aside, file);
    return { file, inode };
  } catch {
    return null;
  }
}

function fileOf(rules: string, { program, listens }: Compiled): Uint8Array {
  const text = door().encode(rules);
  const head = `${MAGIC} ${text.length} ${program.length} ${sumOf(program)} ${listens ? 1 : 0}\n`;
  return concatBytes([door().encode(head), text, program]);
}

/** Gives a container its own name for the filter: a hard link, so that throwing the cache away takes nothing from it;
 *  a file of its own where there is none to link, or where another took the name meanwhile. */
export function giveFilter(filter: KeptFilter, path: string): void {
  if (filter.place !== null) {
    const linked = door().syscall(nr.SYS_linkat, fs.AT_FDCWD, filter.place.file, fs.AT_FDCWD, path, 0);
    if (linked >= 0 && fs.stat(path)?.inode === filter.place.inode) return;
    fs.unlinkIfThere(path);
  }
  fs.writeFile(path, fileOf(filter.rules, filter), 0o600);
}

/** The program of a container's own link, for exec. */
export function readLinked(file: string): Uint8Array<ArrayBuffer> {
  const bytes = fs.readFile(file);
  const parts = partsOf(bytes);
  if (parts === null) {
    throw new Failure("data_loss", `${file} is damaged: the container's seccomp filter cannot be read`);
  }
  return bytes.slice(parts.program);
}
