// Output that is appended to a file of the client's. What is at hand lies in a journal (journal.ts) until the file has
// it, so a shim that takes over appends what its predecessor did not.

import { messageOf } from "../../../base/errors.ts";
import * as fd from "../../../linux/fd.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { RECOVERY_LIMIT } from "../limits.ts";
import { Journal, type LogPlace } from "./journal.ts";
import { type ChunkReader, Pump, type Sink } from "./pump.ts";

export interface FileParts {
  /** Owned, both. `file` is opened for appending. */
  source: fd.Fd;
  file: fd.Fd;
  /** Whence it can be read again. */
  path: string;
  journal: string;
  warn: (sentence: string) => void;
}

/** `recovered`: of a killed shim; what it had at hand is appended at once. */
export function appendToFile(loop: Loop, parts: FileParts, recovered: boolean): Pump {
  const journal = new Journal(parts.journal, parts.warn);
  const left = recovered ? journal.recover() : null;
  const sink = new FileSink(parts, journal);
  const inner = journal.reader("stdout");
  const reader: ChunkReader = {
    read(source, large) {
      journal.opened(sink.place());
      return inner.read(source, large);
    },
    done: () => inner.done(),
    pending() {
      const chunk = inner.pending();
      return chunk === null ? null : chunk.subarray(alreadyThere(parts.path, sink.place(), left!.place, chunk));
    },
  };
  const pump = new Pump(loop, { source: parts.source, sink }, reader);
  pump.takePending();
  return pump;
}

/** What cannot be written is lost and counted; the container goes on. */
class FileSink implements Sink {
  resume: () => void = () => {};
  readonly #parts: FileParts;
  readonly #journal: Journal;
  #lost = 0;

  constructor(parts: FileParts, journal: Journal) {
    this.#parts = parts;
    this.#journal = journal;
  }

  place(): LogPlace {
    const { inode, size } = fd.statFd(this.#parts.file.number);
    return { inode, size };
  }

  write(chunk: Uint8Array): boolean {
    let done = 0;
    try {
      while (done < chunk.length) done += fd.write(this.#parts.file.number, chunk.subarray(done)) ?? 0;
      this.#settle("writing works again");
    } catch (thrown) {
      if (this.#lost === 0) this.#parts.warn(`${this.#parts.path}: ${messageOf(thrown)}: output is being lost`);
      this.#lost += chunk.length - done;
    }
    return true;
  }

  relax(): void {
    this.#journal.relax();
  }

  end(): void {
    this.#settle("it is at its end");
    this.#journal.close();
    this.#parts.file.close();
  }

  #settle(what: string): void {
    if (this.#lost > 0) this.#parts.warn(`${this.#parts.path}: ${what}, ${this.#lost} bytes were lost`);
    this.#lost = 0;
  }
}

/** How many bytes of the chunk the file has. Others may append to it, too: then the chunk is looked for in what came
 *  since. In another file than that which the killed shim had there is nothing of it. */
function alreadyThere(path: string, now: LogPlace, before: LogPlace, chunk: Uint8Array): number {
  if (now.inode !== before.inode || now.size <= before.size) return 0;
  using file = fd.open(path, fd.O_RDONLY);
  const since = fd.readAt(file.number, before.size, Math.min(now.size - before.size, RECOVERY_LIMIT));
  if (includes(since, chunk)) return chunk.length;
  // A write that was interrupted by the kill ends anywhere.
  for (let count = Math.min(since.length, chunk.length); count > 0; count--) {
    const tail = since.subarray(since.length - count);
    if (tail.every((byte, at) => byte === chunk[at])) return count;
  }
  return 0;
}

function includes(bytes: Uint8Array, part: Uint8Array): boolean {
  for (let at = bytes.indexOf(part[0]!); at >= 0; at = bytes.indexOf(part[0]!, at + 1)) {
    if (part.every((byte, offset) => byte === bytes[at + offset])) return true;
  }
  return false;
}
