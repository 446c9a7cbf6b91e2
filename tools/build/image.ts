// Heap images (host/src/image.rs): an executable is linked with empty room where the image will lie, runs the top level
// of its programs in it, and is linked again with what came out. Both links must put everything else at the same
// addresses: the image is full of pointers to it.

import { readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { type Linked, linkContent } from "./link.ts";
import { layout } from "./paths.ts";
import type { CompiledScript } from "./programs.ts";
import { run } from "./run.ts";
import type { Content } from "./table.ts";

export function buildImage(output: string, linked: Linked): void {
  const builder = join(layout.work, `${basename(output)}.room`);
  linkContent(builder, linked, { kind: "room" });
  linkContent(output, linked, runTopLevel(builder, linked.script));
  requireSamePlaces(builder, output);
  rmSync(builder);
}

/** The image, in whole pages. It is made twice, by processes whose stacks, mappings and libc's heap lie elsewhere: a
 *  pointer to what only its builder had would be another one in each. */
export function runTopLevel(builder: string, { code, touch }: CompiledScript): Content {
  const [file, again] = [`${basename(builder)}.heap`, `${basename(builder)}.again.heap`].map((name) =>
    join(layout.work, name),
  ) as [string, string];
  for (const output of [file, again]) run(builder, [code, touch, output]);
  const same = readFileSync(file).equals(readFileSync(again));
  rmSync(again);
  if (!same) throw new Error(`${file}: the heap image differs each time it is built`);
  return { kind: "image", file };
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

/** All segments but the last, which holds the image, must be where they were, and the code the same byte for byte. */
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
    throw new Error(`${output}: linking with the heap image moved something they point to`);
  }
}
