// Frames out of what the shim's attach socket gives piece by piece (api/task/attach.ts has their words). Output is
// given on as it comes, whole frames or not: most are longer than a piece, and putting them together copies everything.

import { ATTACH_FRAME_LIMIT, FRAME_HEADER, FRAME_STDERR, FRAME_STDOUT } from "../../../api/task/attach.ts";

export interface Frame {
  type: number;
  /** Of output a part, else all of it. Only valid until the next piece is pushed. */
  payload: Uint8Array;
}

export class FrameReader {
  readonly #header = new Uint8Array(FRAME_HEADER);
  #headed = 0;
  /** Bytes of the payload that are still to come. */
  #left = 0;
  /** The payload so far of a frame that is no output. */
  #held: Uint8Array[] = [];

  /** Throws when a length goes beyond the limit. */
  push(piece: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    for (let at = 0; at < piece.length; ) {
      if (this.#headed < FRAME_HEADER) {
        const taken = piece.subarray(at, at + FRAME_HEADER - this.#headed);
        this.#header.set(taken, this.#headed);
        this.#headed += taken.length;
        at += taken.length;
        if (this.#headed < FRAME_HEADER) break;
        this.#begin();
      }
      const part = piece.subarray(at, at + this.#left);
      at += part.length;
      this.#left -= part.length;
      const type = this.#header[0]!;
      if (type === FRAME_STDOUT || type === FRAME_STDERR) {
        if (part.length > 0) frames.push({ type, payload: part });
      } else if (this.#left > 0) this.#held.push(part.slice());
      else frames.push({ type, payload: Buffer.concat([...this.#held.splice(0), part]) });
      if (this.#left === 0) this.#headed = 0;
    }
    return frames;
  }

  #begin(): void {
    this.#left = new DataView(this.#header.buffer).getUint32(4);
    if (this.#left > ATTACH_FRAME_LIMIT) {
      throw new Error(`attach frame of ${this.#left} bytes is beyond ${ATTACH_FRAME_LIMIT}`);
    }
  }
}
