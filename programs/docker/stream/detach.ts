// The keys that detach: read from texts such as "ctrl-p,ctrl-q", and found in what is typed.

import { encodeUtf8 } from "../../../base/bytes.ts";

/** Bytes 0x10 0x11. */
export const DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q";

/** Throws a plain error with the original's words. */
export function parseDetachKeys(text: string): Uint8Array {
  const codes: number[] = [];
  for (const key of text.split(",")) {
    if (key.length === 1) {
      codes.push(encodeUtf8(key)[0]!);
      continue;
    }
    const match = /^ctrl-([a-z@[\\\]^_])$/.exec(key);
    if (key === "DEL") codes.push(127);
    else if (match !== null) codes.push(match[1]!.toUpperCase().charCodeAt(0) - 64);
    else throw new Error(`Unknown character: '${key}'`);
  }
  return Uint8Array.from(codes);
}

/** Passes typed bytes on, holding back a beginning of the sequence until it is broken or whole. */
export class DetachScanner {
  readonly #keys: Uint8Array;
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** `detached` is true when the sequence was completed; what follows it is dropped. */
  push(typed: Uint8Array): { pass: Uint8Array; detached: boolean } {
    const pass: number[] = [];
    for (const byte of typed) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.#keys.length) return { pass: Uint8Array.from(pass), detached: true };
        continue;
      }
      pass.push(...this.#keys.subarray(0, this.#matched));
      this.#matched = 0;
      if (byte === this.#keys[0] && this.#keys.length > 1) this.#matched = 1;
      else pass.push(byte);
    }
    return { pass: Uint8Array.from(pass), detached: false };
  }
}
