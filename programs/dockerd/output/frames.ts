// The eight-byte frames that carry two output streams over one connection: [type,0,0,0,length] and the payload. Towards
// clients (multiplexed attach and logs) and from the shim's attach socket, which adds types of its own.

import type { Bytes } from "../../../base/bytes.ts";

export const FRAME_STDIN = 0;
export const FRAME_STDOUT = 1;
export const FRAME_STDERR = 2;
/** Text of an error; ends the stream. */
export const FRAME_ERROR = 3;
/** Towards the shim: the end of standard input. */
export const FRAME_CLOSE_STDIN = 4;
/** Towards the shim: one byte, 1 for stdout and 2 for stderr. Its answer says that nothing later can be missed. */
export const FRAME_SUBSCRIBE = 8;
export const FRAME_SUBSCRIBED = 9;

const HEADER_BYTES = 8;
/** Bytes of one frame's payload on the attach socket. */
export const MAX_FRAME_BYTES = 64 * 1024;

export function frame(type: number, payload: Uint8Array): Bytes {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  bytes[0] = type;
  new DataView(bytes.buffer).setUint32(4, payload.length);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

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
    while (data.length - at >= HEADER_BYTES) {
      const length = new DataView(data.buffer, data.byteOffset + at).getUint32(4);
      if (length > MAX_FRAME_BYTES) throw new Error(`attach frame of ${length} bytes is beyond ${MAX_FRAME_BYTES}`);
      if (data.length - at < HEADER_BYTES + length) break;
      const start = at + HEADER_BYTES;
      frames.push({ type: data[at]!, payload: data.subarray(start, start + length) });
      at = start + length;
    }
    this.#held = data.slice(at);
    return frames;
  }
}
