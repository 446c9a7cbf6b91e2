// One record for another shim: a JSON object in a file of its own, written whole (rename), read strictly. Each says the
// version of its form and the boot it was written in: what it names in the kernel is gone with the boot.

import { Failure, messageOf } from "../../base/errors.ts";
import { readText, replaceFile } from "../../linux/fd.ts";
import type { Log } from "./log.ts";
import type { Ended } from "./reaper.ts";

const VERSION = 1;
const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const BOOT_ID_LENGTH = 64;

/** Throws what the system says. */
export function writeRecord(path: string, facts: object): void {
  const text = JSON.stringify({ version: VERSION, boot: bootId(), ...facts }, (_key, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );
  replaceFile(path, text, 0o600);
}

/** What the record is of lives without it, too: a failure is only said. */
export function keepRecord(log: Log, path: string, facts: object): void {
  try {
    writeRecord(path, facts);
  } catch (thrown) {
    log.say("warning", `no record for a later shim: ${messageOf(thrown)}`);
  }
}

export function bootId(): string {
  return readText(BOOT_ID, BOOT_ID_LENGTH).trim();
}

/** Throws Failure "failed_precondition" for what cannot be used. */
export function strictly<Result>(name: string, read: () => Result): Result {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof Failure) throw thrown;
    throw new Failure("failed_precondition", `${name} is damaged`, { cause: thrown });
  }
}

/** Of any boot. */
export function parseRecord(text: string): Fields {
  const whole = new Fields(JSON.parse(text) as unknown);
  if (whole.number("version") !== VERSION) throw new Failure("failed_precondition", "the record is of another version");
  return whole;
}

/** Of this boot. */
export function parseRecordOfBoot(text: string): Fields {
  const whole = parseRecord(text);
  if (whole.text("boot") !== bootId()) throw new Failure("failed_precondition", "the record is of another boot");
  return whole;
}

export function endedOf(whole: Fields): Ended | null {
  const ended = whole.partOrNull("ended");
  return ended === null ? null : { code: ended.number("code"), at: ended.integer("at") };
}

/** An object's fields, each of which is there and of its type. Throws TypeError. */
export class Fields {
  readonly #object: Record<string, unknown>;

  constructor(value: unknown) {
    if (typeof value !== "object" || value === null) throw new TypeError("no object");
    this.#object = value as Record<string, unknown>;
  }

  text(name: string): string {
    return this.#typed(name, "string") as string;
  }

  number(name: string): number {
    const value = this.#typed(name, "number") as number;
    if (!Number.isSafeInteger(value)) throw new TypeError(`${name} is no integer`);
    return value;
  }

  /** One of 64 bits, which stands there as text. */
  integer(name: string): bigint {
    const text = this.text(name);
    if (!/^\d+$/.test(text)) throw new TypeError(`${name} is no integer`);
    return BigInt(text);
  }

  truth(name: string): boolean {
    return this.#typed(name, "boolean") as boolean;
  }

  part(name: string): Fields {
    return new Fields(this.#object[name]);
  }

  partOrNull(name: string): Fields | null {
    return this.#object[name] === null ? null : this.part(name);
  }

  pairs(name: string): Map<string, string> {
    const list = this.#object[name];
    if (!Array.isArray(list)) throw new TypeError(`${name} is no list`);
    return new Map(
      list.map((pair: unknown) => {
        if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((one) => typeof one === "string")) {
          throw new TypeError(`${name} has no pairs`);
        }
        return pair as [string, string];
      }),
    );
  }

  #typed(name: string, type: string): unknown {
    const value = this.#object[name];
    if (typeof value !== type) throw new TypeError(`${name} is no ${type}`);
    return value;
  }
}
