// Heap images (host/src/image.rs): an executable is linked with empty room where the images will lie, runs each
// program's top level in it, and is linked again with what came out. Both links must put everything else at the same
// addresses: the images are full of pointers to it.

import { readFileSync, rmSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { type Linked, linkContents } from "./link.ts";
import { layout } from "./paths.ts";
import type { CompiledProgram } from "./programs.ts";
import { run } from "./run.ts";
import type { Content } from "./table.ts";

export function buildImages(output: string, linked: Linked): void {
  const builder = join(layout.work, `${basename(output)}.room`);
  linkContents(
    builder,
    linked,
    linked.carried.map(() => ({ kind: "room" })),
  );
  const images = runTopLevels(builder, linked.carried);
  linkContents(output, linked, images);
  requireSamePlaces(builder, output);
  rmSync(builder);
}

/** The images lie one behind the other, in whole pages. */
export function runTopLevels(builder: string, carried: readonly CompiledProgram[]): Content[] {
  let offset = 0;
  return carried.map(({ name, code, touch }) => {
    const file = join(layout.work, `${basename(builder)}.${name}.heap`);
    run(builder, [String(offset), code, touch, file]);
    offset += statSync(file).size;
    return { kind: "image", file };
  });
}

interface Segment {
  type: number;
  flags: number;
  offset: number;
  address: number;
  fileSize: number;
  size: number;
}

const PT_LOAD = 1;
const PF_X = 1;

function segments(elf: Buffer): Segment[] {
  const first = Number(elf.readBigUInt64LE(32));
  return Array.from({ length: elf.readUInt16LE(56) }, (_, index) => {
    const at = first + index * elf.readUInt16LE(54);
    const word = (offset: number) => Number(elf.readBigUInt64LE(at + offset));
    return {
      type: elf.readUInt32LE(at),
      flags: elf.readUInt32LE(at + 4),
      offset: word(8),
      address: word(16),
      fileSize: word(32),
      size: word(40),
    };
  });
}

/** All segments but the last, which holds the images, must be where they were, and the code the same byte for byte. */
function requireSamePlaces(builder: string, output: string): void {
  const [before, after] = [readFileSync(builder), readFileSync(output)];
  const [old, now] = [before, after].map((elf) => segments(elf).filter(({ type }) => type === PT_LOAD)) as [
    Segment[],
    Segment[],
  ];
  const bytes = (elf: Buffer, { offset, fileSize }: Segment) => elf.subarray(offset, offset + fileSize);
  const same = now.slice(0, -1).every((segment, index) => {
    const other = old[index]!;
    const placed = segment.address === other.address && segment.size === other.size;
    return placed && ((segment.flags & PF_X) === 0 || bytes(after, segment).equals(bytes(before, other)));
  });
  if (!same || old.length !== now.length || old.at(-1)!.address !== now.at(-1)!.address) {
    throw new Error(`${output}: linking with the heap images moved something they point to`);
  }
}
