// The door: what the Rust host gives a QuickJS program, in the host's own order (host/src/door.rs). This file is the
// only seam to the machine: a test installs a fake, everything in linux/ calls through `door()`.

import type { Bytes } from "../base/bytes.ts";

/** Text goes as NUL-terminated bytes (surrogate escapes undone, a NUL inside is refused), a buffer as its address,
 *  null as 0; a bigint carries 64 bits, a number up to 53. */
export type SyscallArgument = number | bigint | string | Uint8Array | ArrayBuffer | BigInt64Array | Int32Array | null;

export interface Door {
  /** The raw result: a negative errno on failure. At most six arguments. */
  syscall(number: number, ...args: SyscallArgument[]): number;
  /** One after the other, with nothing run in between: rows of seven words, a number and six arguments. Each result
   *  takes the number's place; gives the last one. */
  syscalls(rows: BigInt64Array): number;
  /** Where the buffer's bytes lie; valid while it is referenced and not resized. */
  address(buffer: Uint8Array): number;
  /** A view of mapped memory; the caller vouches for how long the mapping lives. */
  memory(address: number, length: number): Bytes;
  encode(text: string): Bytes;
  decode(bytes: Uint8Array, start?: number, end?: number): string;
  /** Sets what `ps` shows as the command line. Cut to the room the kernel gave the original arguments and environment.
   *  */
  title(text: string): void;
  /** Frees objects that only refer to each other; gives an address on the stack below which nothing is in use, but for
   *  what calls from here on put there. */
  collect(): number;
  /** Makes records of a log from lines of output, as host/src/lines.rs describes. `cursor` goes in and comes out:
   *  [flags: 1 the local driver's frame instead of JSON, 2 the input is one record; where in `from` to go on, its end;
   *  where in `into` to go on, from where on no more is begun; records made]. */
  records(from: Uint8Array, into: Uint8Array, prefix: Uint8Array, suffix: Uint8Array, cursor: Int32Array): void;
  /** A compiled seccomp program, or a negative errno. The flat form of `rules` is described in host/src/seccomp.rs;
   *  `unknownAction` is for system calls newer than all that `names` mean (-1: the filter decides). */
  seccomp(
    ...compiled: [
      defaultAction: number,
      architectures: string[],
      names: string[],
      rules: Uint8Array,
      unknownAction: number,
    ]
  ): Bytes | number;
  /** Address of a signal handler that ends the process with 128 and the signal's number. */
  readonly ender: number;
  readonly args: string[];
  readonly env: string[];
  /** Called by the host whenever no job is left; waits for the next event and dispatches it. A returned number is the
   *  exit code. Null: the program ends when its jobs are done. */
  idle: (() => number | undefined) | null;
}

let installed: Door | null = null;

/** Called first thing in main (runtime/quickjs) or by a test. */
export function installDoor(door: Door): void {
  installed = door;
}

export function door(): Door {
  if (installed === null) throw new Error("impossible state: no door was installed before the first system call");
  return installed;
}
