// Output of a container without a terminal, as attach, logs and exec carry it: frames of an eight-byte header (stream
// number, three zero bytes, length as 32 bits big-endian) and payload. Only the daemon sends frames; input is raw.

import type { Bytes } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";

export const FRAME_HEADER_BYTES = 8;
/** Payload bytes one frame may have. The originals' writers stay far below. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;

/** Number on the wire. "stdin" is output, too: what was typed, echoed. "failure" carries an error text and ends all. */
export const FRAME_STREAMS = ["stdin", "stdout", "stderr", "failure"] as const;
export type FrameStream = (typeof FRAME_STREAMS)[number];

export const MULTIPLEXED_TYPE = "application/vnd.docker.multiplexed-stream";
export const RAW_TYPE = "application/vnd.docker.raw-stream";

/** A whole frame in one piece. */
export function encodeFrame(stream: FrameStream, payload: Uint8Array): Bytes {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  frame[0] = FRAME_STREAMS.indexOf(stream);
  new DataView(frame.buffer).setUint32(4, payload.length);
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

/** Takes bytes in any splitting and gives payload on as it comes, without waiting for whole frames. */
export class FrameDecoder {
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #held = 0;
  #left = 0;
  #stream: FrameStream = "stdout";

  /** Whether the bytes so far end between two frames. */
  get atBoundary(): boolean {
    return this.#held === 0 && this.#left === 0;
  }

  /** The payload parts in these bytes; they are views of them. */
  push(bytes: Uint8Array): { stream: FrameStream; payload: Uint8Array }[] {
    const parts: { stream: FrameStream; payload: Uint8Array }[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#left === 0) {
        const length = Math.min(FRAME_HEADER_BYTES - this.#held, bytes.length - at);
        this.#header.set(bytes.subarray(at, at + length), this.#held);
        this.#held += length;
        at += length;
        if (this.#held === FRAME_HEADER_BYTES) this.#begin();
        continue;
      }
      const length = Math.min(this.#left, bytes.length - at);
      parts.push({ stream: this.#stream, payload: bytes.subarray(at, at + length) });
      this.#left -= length;
      at += length;
    }
    return parts;
  }

  #begin(): void {
    const stream = FRAME_STREAMS[this.#header[0]!];
    if (stream === undefined) throw new Failure("data_loss", `Unrecognized stream: ${this.#header[0]}`);
    const length = new DataView(this.#header.buffer).getUint32(4);
    if (length > MAX_FRAME_BYTES) throw new Failure("data_loss", `frame of ${length} bytes is too large`);
    this.#held = 0;
    this.#left = length;
    this.#stream = stream;
  }
}
