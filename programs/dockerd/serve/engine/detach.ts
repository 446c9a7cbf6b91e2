// The key sequence that takes a client off a terminal without ending anything (default ctrl-p ctrl-q). Keys that begin
// the sequence are held back until it is clear that they do not finish it.

import { encodeUtf8 } from "../../../../base/bytes.ts";
import { Failure } from "../../../../base/errors.ts";

const DEFAULT_KEYS = "ctrl-p,ctrl-q";

/** "" stands for the default. */
export function parseDetachKeys(text: string): number[] {
  const keys: number[] = [];
  for (const key of (text === "" ? DEFAULT_KEYS : text).split(",")) {
    const control = /^ctrl-(.)$/.exec(key)?.[1];
    if (control === undefined) {
      const bytes = encodeUtf8(key);
      if (bytes.length !== 1) throw new Failure("invalid_argument", `Invalid detach keys (${text}) provided`);
      keys.push(bytes[0]!);
    } else if (/[a-z]/.test(control)) keys.push(control.charCodeAt(0) - 96);
    else if ("@[\\]^_".includes(control)) keys.push(control.charCodeAt(0) & 31);
    else throw new Failure("invalid_argument", `Invalid detach keys (${text}) provided`);
  }
  return keys;
}

export class DetachScanner {
  readonly #keys: readonly number[];
  #matched = 0;

  constructor(text: string) {
    this.#keys = text === "none" ? [] : parseDetachKeys(text);
  }

  push(bytes: Uint8Array): { bytes: Uint8Array; detach: boolean } {
    if (this.#keys.length === 0) return { bytes, detach: false };
    const out: number[] = [];
    for (const byte of bytes) {
      if (byte === this.#keys[this.#matched]) {
        if (++this.#matched === this.#keys.length) return { bytes: Uint8Array.from(out), detach: true };
        continue;
      }
      for (let at = 0; at < this.#matched; at++) out.push(this.#keys[at]!);
      this.#matched = byte === this.#keys[0] ? 1 : 0;
      if (this.#matched === 0) out.push(byte);
    }
    return { bytes: Uint8Array.from(out), detach: false };
  }
}
