// The few lines of assembly that hold an executable's programs: struct Program of host/src/lib.rs for each name, and a
// main that passes the table on.

import { SEALED } from "./programs.ts";

/** What an executable carries of its programs; "room" is where their image will lie, while it is built. */
export type Content = { kind: "bytecode" | "image"; file: string } | { kind: "room" };

const KINDS = { bytecode: 0, image: 1, room: 2 } as const;
/** ROOM of host/src/image.rs. */
const ROOM = 64 << 20;

export function assembly(
  programs: readonly string[],
  aliases: readonly (readonly [string, string])[],
  content: Content,
): string {
  const entries = [...programs.map((name) => [name, name] as const), ...aliases];
  const rows = entries.map(([, target], index) => {
    const own = programs.indexOf(target);
    const seal = SEALED[target] === undefined ? "0" : `.Lseal${own}`;
    return `  .quad .Lname${index}, .Lname${own}, .Lstart, .Lend - .Lstart, ${KINDS[content.kind]}, ${seal}`;
  });
  const names = entries.map(([name], index) => `.Lname${index}: .asciz "${name}"`);
  const seals = programs.flatMap((name, index) =>
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
    ...(content.kind === "room" ? room() : carried(content)),
    '.section .note.GNU-stack, "", @progbits',
    "",
  ].join("\n");
}

function carried({ kind, file }: Exclude<Content, { kind: "room" }>): string[] {
  const place = kind === "image" ? '.section .gantry.heap, "aw"' : '.section .rodata.gantry, "a"';
  const align = kind === "image" ? ".balign 4096" : ".balign 16";
  return [place, align, `.Lstart: .incbin "${file}"`, ".Lend:"];
}

/** A page in the file, as an image would have, so that the segments are the same; the rest is address space only. */
function room(): string[] {
  const heap = ['.section .gantry.heap, "aw"', ".Lstart:", ".Lend:", ".zero 4096"];
  return [...heap, '.section .gantry.room, "aw", @nobits', `.skip ${ROOM - 4096}`];
}
