// Whole frames out of what the shim's attach socket gives piece by piece (api/task/attach.ts has their words).

import { ATTACH_FRAME_LIMIT, FRAME_HEADER } from "../../../api/task/attach.ts";

export interface Frame {
  type: number;
  /** Only valid until the next piece is pushed. */
  payload: Uint8Array;
}

/** Takes pieces as they come and gives whole frames. Throws when a length goes beyond the limit. */
export class FrameReader {
  #held = new Uint8Array(0);

  push(piece: Uint8Array): Frame[] {
    let data = piece;
    if (this.#held.length > 0) {
      data = new Uint8Array(this.#held.length + piece.length);
      data.set(this.#held);
      data.set(piece, this.#held.length);
    }
    const frames: Frame[] = [];
    let at = 0;
    while (data.length - at >= FRAME_HEADER) {
      const length = new DataView(data.buffer, data.byteOffset + at).getUint32(4);
      if (length > ATTACH_FRAME_LIMIT)
        throw new Error(`attach frame of ${length} bytes is beyond ${ATTACH_FRAME_LIMIT}`);
      if (data.length - at < FRAME_HEADER + length) break;
      const start = at + FRAME_HEADER;
      frames.push({ type: data[at]!, payload: data.subarray(start, start + length) });
      at = start + length;
    }
    this.#held = data.slice(at);
    return frames;
  }
}
