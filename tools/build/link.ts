// Links executables: the host library, libseccomp, and a table of programs as a few lines of assembly. Static and not
// position-independent, so that the table needs no relocation at start.

import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { layout } from "./paths.ts";
import { type CompiledProgram, EXECUTABLES, SEALED } from "./programs.ts";
import { run } from "./run.ts";

export function linkExecutables(programs: ReadonlyMap<string, CompiledProgram>): void {
  for (const executable of EXECUTABLES) {
    const carried = executable.programs.flatMap((name) => programs.get(name) ?? []);
    if (carried.length === 0) continue;
    const aliases = Object.entries(executable.aliases).filter(([, target]) => programs.has(target));
    link(executable.file, carried, aliases);
    const names = [...carried.slice(1).map((program) => program.name), ...aliases.map(([alias]) => alias)];
    for (const name of names) linkName(name, executable.file);
  }
}

function link(file: string, carried: readonly CompiledProgram[], aliases: readonly [string, string][]): void {
  linkFile(join(layout.bin, file), carried, aliases);
}

/** `aliases`: further names, each with the program it stands for. */
export function linkFile(
  output: string,
  carried: readonly CompiledProgram[],
  aliases: readonly [string, string][],
): void {
  const library = join(layout.cargo, "release/libgantry_host.a");
  const table = assembly(carried, aliases);
  const source = join(layout.work, `${basename(output)}.table.s`);
  const same = existsSync(source) && readFileSync(source, "utf8") === table;
  const inputs = [library, ...carried.map((program) => program.code)];
  const built = existsSync(output) ? statSync(output).mtimeMs : 0;
  if (same && inputs.every((input) => statSync(input).mtimeMs < built)) return;
  writeFileSync(source, table);
  const aside = `${output}.new`;
  const flags = ["-static", "-no-pie", "-Wl,--gc-sections", "-Wl,-z,noexecstack", "-Wl,-z,relro", "-s"];
  run("cc", [...flags, "-o", aside, source, library, "-lseccomp", "-lm"]);
  // A running program cannot be written to, but its name can be given to another file.
  run("mv", [aside, output]);
}

function linkName(name: string, target: string): void {
  const path = join(layout.bin, name);
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

/** struct Program of host/src/lib.rs: name, code, length, seal; and a main that passes the table on as fourth and fifth
 *  argument (System V AMD64 ABI: rcx, r8). */
function assembly(carried: readonly CompiledProgram[], aliases: readonly [string, string][]): string {
  const at = new Map(carried.map((program, index) => [program.name, index]));
  const entries = [...carried.map((program) => [program.name, program.name] as const), ...aliases];
  const rows = entries.map(([, target], index) => {
    const code = at.get(target)!;
    const seal = SEALED[target] === undefined ? "0" : `.Lseal${code}`;
    return `  .quad .Lname${index}, .Lcode${code}, .Lend${code} - .Lcode${code}, ${seal}`;
  });
  const names = entries.map(([name], index) => `.Lname${index}: .asciz "${name}"`);
  const seals = carried.map(({ name }, index) =>
    SEALED[name] === undefined ? "" : `.Lseal${index}: .asciz "${SEALED[name]}"`,
  );
  const codes = carried.map(
    (program, index) => `.balign 16\n.Lcode${index}: .incbin "${program.code}"\n.Lend${index}:`,
  );
  return [
    '.section .rodata.gantry, "a"',
    ".balign 16",
    "table:",
    ...rows,
    ...names,
    ...seals,
    ...codes,
    ".text",
    ".globl main",
    "main:",
    "  mov $table, %rcx",
    `  mov $${entries.length}, %r8`,
    "  jmp gantry_main",
    '.section .note.GNU-stack, "", @progbits',
    "",
  ].join("\n");
}
