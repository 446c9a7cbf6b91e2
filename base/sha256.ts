// SHA-256 (FIPS 180-4) in plain TypeScript, for the engine without a crypto library: short texts such as the name of a
// socket. Node's programs use node:crypto.

import type { Bytes } from "./bytes.ts";

const BLOCK = 64;

export function sha256(message: Uint8Array): Bytes {
  const state = Int32Array.from(fractions(2, 8));
  const padded = pad(message);
  const view = new DataView(padded.buffer);
  const schedule = new Int32Array(64);
  const constants = fractions(3, 64);
  for (let start = 0; start < padded.length; start += BLOCK) {
    for (let at = 0; at < 16; at++) schedule[at] = view.getInt32(start + at * 4);
    for (let at = 16; at < 64; at++) {
      const [near, far] = [schedule[at - 2]!, schedule[at - 15]!];
      const low = turn(far, 7) ^ turn(far, 18) ^ (far >>> 3);
      const high = turn(near, 17) ^ turn(near, 19) ^ (near >>> 10);
      schedule[at] = (schedule[at - 16]! + low + schedule[at - 7]! + high) | 0;
    }
    compress(state, schedule, constants);
  }
  const digest = new Uint8Array(32);
  const out = new DataView(digest.buffer);
  state.forEach((word, index) => {
    out.setInt32(index * 4, word);
  });
  return digest;
}

function compress(state: Int32Array, schedule: Int32Array, constants: readonly number[]): void {
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let at = 0; at < 64; at++) {
    const first = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const one = (h + first + ((e & f) ^ (~e & g)) + constants[at]! + schedule[at]!) | 0;
    const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, index) => {
    state[index] = (state[index]! + word) | 0;
  });
}

function turn(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function pad(message: Uint8Array): Bytes {
  const blocks = Math.ceil((message.length + 9) / BLOCK);
  const padded = new Uint8Array(blocks * BLOCK);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(message.length / 2 ** 29));
  view.setUint32(padded.length - 4, message.length * 8);
  return padded;
}

/** The standard's constants: the first 32 bits of the fractional parts of the roots of the first primes. A double keeps
 *  enough digits: the largest root is below 18 and needs 37 bits. */
function fractions(root: 2 | 3, count: number): number[] {
  const words: number[] = [];
  for (let candidate = 2; words.length < count; candidate++) {
    let prime = true;
    for (let factor = 2; factor * factor <= candidate; factor++) prime = prime && candidate % factor !== 0;
    if (!prime) continue;
    const value = root === 2 ? Math.sqrt(candidate) : Math.cbrt(candidate);
    words.push(Math.floor((value - Math.floor(value)) * 2 ** 32) | 0);
  }
  return words;
}
