// A scripted door: each system call gives the next answer written for its number, and is remembered. For tests of what
// linux/ and the programs above it make of a kernel that interrupts, refuses or gives little.

import { portableUtf8 } from "../../base/bytes.ts";
import type { Door, SyscallArgument } from "../../linux/door.ts";

/** A raw result, or a function of the arguments that gives one (it may write into a buffer it was given). */
export type Answer = number | ((...args: SyscallArgument[]) => number);

export interface FakeCall {
  number: number;
  args: SyscallArgument[];
}

/** A call without an answer left is a failure of the test. Memory, titles and seccomp are not scripted. */
export class FakeDoor implements Door {
  readonly ender = 0;
  readonly args: string[] = [];
  readonly env: string[] = [];
  readonly calls: FakeCall[] = [];
  idle: (() => number | undefined) | null = null;
  readonly #answers = new Map<number, Answer[]>();

  answer(number: number, ...answers: Answer[]): this {
    this.#answers.set(number, [...(this.#answers.get(number) ?? []), ...answers]);
    return this;
  }

  syscall(number: number, ...args: SyscallArgument[]): number {
    this.calls.push({ number, args });
    const next = this.#answers.get(number)?.shift();
    if (next === undefined) throw new Error(`system call ${number} was not expected (any more)`);
    return typeof next === "number" ? next : next(...args);
  }

  syscalls(rows: BigInt64Array): number {
    let last = 0;
    for (let at = 0; at < rows.length; at += 7) {
      last = this.syscall(Number(rows[at]), ...rows.subarray(at + 1, at + 7));
      rows[at] = BigInt(last);
    }
    return last;
  }

  encode(text: string) {
    return portableUtf8.encode(text);
  }

  decode(bytes: Uint8Array, start = 0, end = bytes.length): string {
    return portableUtf8.decode(bytes.subarray(start, end));
  }

  address(): number {
    return 0;
  }

  memory(): never {
    throw new Error("a fake door has no memory to look at");
  }

  title(): void {}

  collect(): number {
    return 0;
  }

  records(): never {
    throw new Error("a fake door makes no records");
  }

  seccomp(): never {
    throw new Error("a fake door compiles no filter");
  }
}
