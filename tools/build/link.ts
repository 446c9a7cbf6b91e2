// Links executables: the host library, libseccomp, and a table of programs as a few lines of assembly (table.ts).
// Static and not position-independent, so that nothing needs relocation at start and a heap built ahead of time stays
// true.

import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { buildImage } from "./image.ts";
import { layout } from "./paths.ts";
import { type CompiledScript, EXECUTABLES } from "./programs.ts";
import { run } from "./run.ts";
import { assembly, type Content } from "./table.ts";

/** Named, but never called: by Rust's core, which was compiled to unwind, and by libseccomp's export as text, which was
 *  compiled for another libc. */
const UNCALLED = ["rust_eh_personality", "_Unwind_Resume", "__fprintf_chk"];

/** How programs are carried: as a heap in which their top level has run, or as bytecode to be run at each start. */
export type Form = "image" | "bytecode";

/** `programs`: those of the script, of which the first runs under any unknown name. `aliases`: further names, each with
 *  the program it stands for. */
export interface Linked {
  script: CompiledScript;
  programs: readonly string[];
  aliases: readonly [name: string, program: string][];
  form: Form;
}

export function linkExecutables(scripts: ReadonlyMap<string, CompiledScript>, form: Form): void {
  for (const { file, programs, ...executable } of EXECUTABLES) {
    const aliases = Object.entries(executable.aliases);
    linkFile(join(layout.bin, file), { script: scripts.get(file)!, programs, aliases, form });
    for (const name of [...programs.slice(1), ...aliases.map(([alias]) => alias)]) linkName(name, file);
  }
}

/** Skipped when nothing changed since the last time. */
export function linkFile(output: string, linked: Linked): void {
  const { script, form } = linked;
  const record = join(layout.work, `${basename(output)}.form`);
  const wanted = JSON.stringify(linked);
  const same = existsSync(record) && readFileSync(record, "utf8") === wanted;
  const tools = ["image.ts", "link.ts", "table.ts", "heap.ld"].map((name) => join(layout.root, "tools/build", name));
  const inputs = [library(), ...tools, script.code, script.touch];
  const built = existsSync(output) ? statSync(output).mtimeMs : 0;
  if (same && inputs.every((input) => statSync(input).mtimeMs < built)) return;
  const aside = `${output}.new`;
  if (form === "bytecode") linkContent(aside, linked, { kind: "bytecode", file: script.code });
  else buildImage(aside, linked);
  // A running program cannot be written to, but its name can be given to another file.
  run("mv", [aside, output]);
  writeFileSync(record, wanted);
}

function library(): string {
  return join(layout.cargo, "alone/release/libgantry_host.a");
}

/** One link, with the given content for the script. */
export function linkContent(output: string, { programs, aliases }: Linked, content: Content): void {
  const source = `${join(layout.work, basename(output))}.table.s`;
  writeFileSync(source, assembly(programs, aliases, content));
  const flags = [
    "-static",
    "-no-pie",
    "-Wl,--gc-sections",
    "-Wl,-z,noexecstack",
    "-Wl,-z,relro",
    "-Wl,-e,gantry_start",
    ...UNCALLED.map((name) => `-Wl,--defsym=${name}=0`),
    "-s",
  ];
  const placed = ["-Wl,-T", join(layout.root, "tools/build/heap.ld")];
  run("musl-gcc", [...flags, ...placed, "-o", output, source, library()]);
}

function linkName(name: string, target: string): void {
  const path = join(layout.bin, name);
  rmSync(path, { force: true });
  symlinkSync(target, path);
}
