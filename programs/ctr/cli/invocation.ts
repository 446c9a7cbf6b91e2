// One call of a command: its arguments, the values of its flags and of those before it, and the way to containerd.

import { assert } from "../../../base/assert.ts";
import type { Flag } from "../../../base/flags/flagset.ts";
import type { Session } from "../call/session.ts";
import type { Command } from "./command.ts";
import { commandHelp } from "./help.ts";

export type FlagValues = ReadonlyMap<string, Flag<unknown>>;

export interface GlobalSettings {
  readonly address: string;
  readonly namespace: string;
  /** Nanoseconds; 0 for none. */
  readonly timeout: number;
  readonly connectTimeout: number;
  readonly debug: boolean;
}

export class Invocation {
  readonly args: readonly string[];
  readonly global: GlobalSettings;
  readonly #path: readonly string[];
  readonly #command: Command;
  readonly #values: FlagValues;
  readonly #outer: FlagValues;
  #session: Session | null = null;

  constructor(call: {
    args: readonly string[];
    global: GlobalSettings;
    path: readonly string[];
    command: Command;
    values: FlagValues;
    outer: FlagValues;
  }) {
    this.args = call.args;
    this.global = call.global;
    this.#path = call.path;
    this.#command = call.command;
    this.#values = call.values;
    this.#outer = call.outer;
  }

  /** The argument at an index, "" when it was not given. */
  arg(index: number): string {
    return this.args[index] ?? "";
  }

  bool(name: string): boolean {
    return this.#value(name) === true;
  }

  string(name: string): string {
    return String(this.#value(name));
  }

  number(name: string): number {
    return Number(this.#value(name));
  }

  list(name: string): readonly string[] {
    return this.#value(name) as string[];
  }

  /** Whether the command line gave it. */
  isSet(name: string): boolean {
    return this.#values.get(name)?.changed === true;
  }

  /** Whether the command has such a flag at all; shared code serves commands that differ in this. */
  has(name: string): boolean {
    return this.#values.has(name) || this.#outer.has(name);
  }

  /** What a command prints that was called without what it needs. */
  printHelp(): void {
    print(commandHelp(this.#path.join(" "), this.#command));
  }

  /** The connection to containerd: made at the first use, closed by the caller of the command. */
  async session(): Promise<Session> {
    if (this.#session === null) {
      const { Session } = await import("../call/session.ts");
      this.#session = await Session.open(this.global);
    }
    return this.#session;
  }

  close(): void {
    this.#session?.close();
  }

  #value(name: string): unknown {
    const flag = this.#values.get(name) ?? this.#outer.get(name);
    assert(flag !== undefined, `no flag ${name}`);
    return flag.value;
  }
}

export function print(text: string): void {
  process.stdout.write(text);
}
