// The few lines of assembly that hold an executable's programs: struct Program of host/src/lib.rs for each name, and a
// main that passes the table on.

import { type CompiledProgram, SEALED } from "./programs.ts";

/** What an executable carries for a program; "room" is where its image will lie, while images are built. */
export type Content = { kind: "bytecode" | "image"; file: string } | { kind: "room" };

const KINDS = { bytecode: 0, image: 1, room: 2 } as const;
/** ROOM of host/src/image.rs. */
const ROOM = 64 << 20;

export function assembly(
  carried: readonly CompiledProgram[],
  aliases: readonly (readonly [string, string])[],
  contents: readonly Content[],
): string {
  const at = new Map(carried.map((program, index) => [program.name, index]));
  const entries = [...carried.map((program) => [program.name, program.name] as const), ...aliases];
  const rows = entries.map(([, target], index) => {
    const own = at.get(target)!;
    const kind = KINDS[contents[own]!.kind];
    const seal = SEALED[target] === undefined ? "0" : `.Lseal${own}`;
    return `  .quad .Lname${index}, .Lstart${own}, .Lend${own} - .Lstart${own}, ${kind}, ${seal}`;
  });
  const names = entries.map(([name], index) => `.Lname${index}: .asciz "${name}"`);
  const seals = carried.flatMap(({ name }, index) =>
    SEALED[name] === undefined ? [] : [`.Lseal${index}: .asciz "${SEALED[name]}"`],
  );
  return [
    '.section .rodata.gantry, "a"',
    ".balign 16",
    "table:",
    ...rows,
    ...names,
    ...seals,
    // The executable's entry: gantry_seal(stack, table, count), then libc's own entry as the kernel would call it.
    ".text",
    ".globl gantry_start",
    "gantry_start:",
    "  mov %rsp, %rdi",
    "  mov $table, %esi",
    `  mov $${entries.length}, %edx`,
    "  call gantry_seal",
    "  xor %edx, %edx",
    "  jmp _start",
    // main's fourth and fifth argument (System V AMD64 ABI: rcx, r8).
    ".globl main",
    "main:",
    "  mov $table, %rcx",
    `  mov $${entries.length}, %r8`,
    "  jmp gantry_main",
    ...contents.flatMap(content),
    ...(contents.some(({ kind }) => kind === "room") ? room() : []),
    '.section .note.GNU-stack, "", @progbits',
    "",
  ].join("\n");
}

function content(content: Content, index: number): string[] {
  if (content.kind === "room") return ['.section .gantry.heap, "aw"', `.Lstart${index}:`, `.Lend${index}:`];
  const place = content.kind === "image" ? '.section .gantry.heap, "aw"' : '.section .rodata.gantry, "a"';
  const align = content.kind === "image" ? ".balign 4096" : ".balign 16";
  return [place, align, `.Lstart${index}: .incbin "${content.file}"`, `.Lend${index}:`];
}

/** A page in the file, as an image would have, so that the segments are the same; the rest is address space only. */
function room(): string[] {
  return ['.section .gantry.heap, "aw"', ".zero 4096", '.section .gantry.room, "aw", @nobits', `.skip ${ROOM - 4096}`];
}
