// Links executables: the host library, libseccomp, and a table of programs as a few lines of assembly (table.ts).
// Static and not position-independent, so that nothing needs relocation at start and a heap built ahead of time stays
// true.

import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { buildImages } from "./image.ts";
import { layout } from "./paths.ts";
import { type CompiledProgram, EXECUTABLES } from "./programs.ts";
import { run } from "./run.ts";
import { assembly, type Content } from "./table.ts";

/** How programs are carried: as a heap in which their top level has run, or as bytecode to be run at each start. */
export type Form = "image" | "bytecode";

/** `aliases`: further names, each with the program it stands for. */
export interface Linked {
  carried: readonly CompiledProgram[];
  aliases: readonly [name: string, program: string][];
  form: Form;
}

export function linkExecutables(programs: ReadonlyMap<string, CompiledProgram>, form: Form): void {
  for (const executable of EXECUTABLES) {
    const carried = executable.programs.flatMap((name) => programs.get(name) ?? []);
    if (carried.length === 0) continue;
    const aliases = Object.entries(executable.aliases).filter(([, target]) => programs.has(target));
    linkFile(join(layout.bin, executable.file), { carried, aliases, form });
    const names = [...carried.slice(1).map((program) => program.name), ...aliases.map(([alias]) => alias)];
    for (const name of names) linkName(name, executable.file);
  }
}

/** Skipped when nothing changed since the last time. */
export function linkFile(output: string, linked: Linked): void {
  const { carried, form } = linked;
  const record = join(layout.work, `${basename(output)}.form`);
  const wanted = JSON.stringify(linked);
  const same = existsSync(record) && readFileSync(record, "utf8") === wanted;
  const tools = ["image.ts", "link.ts", "table.ts", "heap.ld"].map((name) => join(layout.root, "tools/build", name));
  const inputs = [library(), ...tools, ...carried.flatMap(({ code, touch }) => [code, touch])];
  const built = existsSync(output) ? statSync(output).mtimeMs : 0;
  if (same && inputs.every((input) => statSync(input).mtimeMs < built)) return;
  const aside = `${output}.new`;
  if (form === "bytecode") linkContents(aside, linked, carried.map(bytecode));
  else buildImages(aside, linked);
  // A running program cannot be written to, but its name can be given to another file.
  run("mv", [aside, output]);
  writeFileSync(record, wanted);
}

function bytecode({ code }: CompiledProgram): Content {
  return { kind: "bytecode", file: code };
}

function library(): string {
  return join(layout.cargo, "release/libgantry_host.a");
}

/** One link, with the given content for each program. */
export function linkContents(output: string, { carried, aliases }: Linked, contents: readonly Content[]): void {
  const source = `${join(layout.work, basename(output))}.table.s`;
  writeFileSync(source, assembly(carried, aliases, contents));
  const flags = [
    "-static",
    "-no-pie",
    "-Wl,--gc-sections",
    "-Wl,-z,noexecstack",
    "-Wl,-z,relro",
    "-Wl,-e,gantry_start",
    "-s",
  ];
  const placed = ["-Wl,-T", join(layout.root, "tools/build/heap.ld")];
  run("cc", [...flags, ...placed, "-o", output, source, library(), "-lseccomp", "-lm"]);
}

function linkName(name: string, target: string): void {
  const path = join(layout.bin, name);
  rmSync(path, { force: true });
  symlinkSync(target, path);
}
