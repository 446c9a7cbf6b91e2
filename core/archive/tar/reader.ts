// Walks a tar archive through blocking reads, entry by entry. Used by containerd-unpack.
// The end is two zero blocks, or the end of input between entries, as Go's reader has it; anywhere else the end of
// input is a truncated archive.

import { type Bytes, decodeUtf8 } from "../../../base/bytes.ts";
import { Failure } from "../../../base/errors.ts";
import { BLOCK, type Entry, isZeroBlock, padding, parseHeader, parsePax, withPax } from "./header.ts";

/** Fills what it can of `into`; 0 at the end of input. */
export type BlockingRead = (into: Uint8Array) => number;

const NOTE_LIMIT = 1 << 20; // bytes of one PAX header or GNU long name
const ENTRY_LIMIT = 4_000_000; // entries of one archive

export class TarReader {
  private readonly source: BlockingRead;
  private readonly block = new Uint8Array(BLOCK);
  /** Bytes of the current entry's content not read yet, and of the zeros behind it. */
  private left = 0;
  private behind = 0;
  private entries = 0;

  constructor(source: BlockingRead) {
    this.source = source;
  }

  /** The next entry, or null at the end. What was not read of the one before is skipped. */
  next(): Entry | null {
    this.skip();
    const notes = { pax: new Map<string, Bytes>(), name: null as string | null, target: null as string | null };
    for (;;) {
      if (!this.readBlock()) {
        if (notes.pax.size > 0 || notes.name !== null || notes.target !== null) throw truncated();
        return null;
      }
      const header = parseHeader(this.block);
      if (header.typeFlag === "x") notes.pax = parsePax(this.note(header.size));
      else if (header.typeFlag === "g") this.note(header.size);
      else if (header.typeFlag === "L") notes.name = untilNul(this.note(header.size));
      else if (header.typeFlag === "K") notes.target = untilNul(this.note(header.size));
      else {
        const raw = { ...header, name: notes.name ?? header.name, target: notes.target ?? header.target };
        const entry = withPax(raw, notes.pax);
        // Only files have content; some archivers write a size beside a link nevertheless, with nothing behind it.
        if (entry.kind !== "file") entry.size = 0;
        this.left = entry.size;
        this.behind = padding(entry.size);
        if (++this.entries > ENTRY_LIMIT) {
          throw new Failure("resource_exhausted", `archive: more than ${ENTRY_LIMIT} entries`);
        }
        return entry;
      }
    }
  }

  /** Content of the current entry; 0 when it is read. */
  read(into: Uint8Array): number {
    if (this.left === 0) return 0;
    const got = this.source(into.subarray(0, Math.min(into.length, this.left)));
    if (got === 0) throw truncated();
    this.left -= got;
    return got;
  }

  private skip(): void {
    const scrap = this.left + this.behind > 0 ? new Uint8Array(Math.min(64 << 10, this.left + this.behind)) : null;
    while (scrap !== null && this.left > 0) this.read(scrap);
    if (scrap !== null && this.behind > 0) this.fill(scrap.subarray(0, this.behind));
    this.behind = 0;
  }

  /** False at the end of the archive. */
  private readBlock(): boolean {
    const got = this.source(this.block);
    if (got === 0) return false;
    if (got < BLOCK) this.fill(this.block.subarray(got));
    return !isZeroBlock(this.block);
  }

  private note(size: number): Bytes {
    if (size > NOTE_LIMIT)
      throw new Failure("resource_exhausted", `archive: a header is larger than ${NOTE_LIMIT} bytes`);
    const body = new Uint8Array(size + padding(size));
    this.fill(body);
    return body.subarray(0, size);
  }

  private fill(into: Uint8Array): void {
    for (let at = 0; at < into.length; ) {
      const got = this.source(into.subarray(at));
      if (got === 0) throw truncated();
      at += got;
    }
  }
}

function untilNul(bytes: Bytes): string {
  const end = bytes.indexOf(0);
  return decodeUtf8(end < 0 ? bytes : bytes.subarray(0, end));
}

function truncated(): Failure {
  return new Failure("invalid_argument", "archive: unexpected end of input: the archive is truncated");
}
