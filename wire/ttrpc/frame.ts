// Frames of ttrpc (drawn in PROTOCOL.md): ten bytes of header, then a message.

import type { Bytes } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import type { ByteStream } from "../../base/runtime.ts";
import type { Budget, Holder } from "./budget.ts";
import { GROW_LIMIT, MESSAGE_LIMIT, READ_SIZE, SKIP_LIMIT } from "./limits.ts";

const HEADER_SIZE = 10;

export const FRAME_REQUEST = 1;
export const FRAME_RESPONSE = 2;
export const FRAME_DATA = 3;

/** The sender says nothing more on this stream. */
export const FLAG_REMOTE_CLOSED = 1;
/** A request that is the beginning of a stream of data. */
export const FLAG_REMOTE_OPEN = 2;

export interface Frame {
  streamId: number;
  type: number;
  flags: number;
  /** Null when the message was longer than MESSAGE_LIMIT: it was skipped. */
  payload: Bytes | null;
  length: number;
}

export function encodeFrame(streamId: number, type: number, payload: Uint8Array): Bytes {
  if (payload.length > MESSAGE_LIMIT) throw oversized(payload.length);
  const bytes = new Uint8Array(HEADER_SIZE + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.length);
  view.setUint32(4, streamId);
  bytes[8] = type;
  bytes.set(payload, HEADER_SIZE);
  return bytes;
}

/** The original's sentence. */
export function oversized(length: number): Failure {
  return new Failure("resource_exhausted", `message length ${length} exceed maximum message size of ${MESSAGE_LIMIT}`);
}

/** Takes frames off a stream; reads only when asked. */
export class FrameReader {
  readonly #stream: ByteStream;
  readonly #buffer: Bytes = new Uint8Array(READ_SIZE);
  /** Whose memory a message is while only a part of it has come; null where one peer is trusted with its own. */
  readonly #share: { budget: Budget; holder: Holder } | null;
  #start = 0;
  #end = 0;

  constructor(stream: ByteStream, share: { budget: Budget; holder: Holder } | null = null) {
    this.#stream = stream;
    this.#share = share;
  }

  /** Null at the end, also when it came inside a frame. Throws on a length that no speaker of ttrpc sends. */
  async next(): Promise<Frame | null> {
    const header = await this.#take(HEADER_SIZE);
    if (header === null) return null;
    const view = new DataView(header.buffer, header.byteOffset);
    const length = view.getUint32(0);
    const frame = { streamId: view.getUint32(4), type: header[8]!, flags: header[9]!, payload: null, length };
    if (length >= SKIP_LIMIT) throw oversized(length);
    if (length > MESSAGE_LIMIT) return (await this.#skip(length)) ? frame : null;
    const payload = await this.#take(length);
    return payload === null ? null : { ...frame, payload };
  }

  /** A copy of the next bytes. Memory grows with what has come, not with what was promised. */
  async #take(length: number): Promise<Bytes | null> {
    let bytes = new Uint8Array(Math.min(length, READ_SIZE));
    try {
      for (let at = 0; at < length; ) {
        if (at === bytes.length) bytes = this.#grown(bytes, length);
        const got = await this.#read(bytes.subarray(at));
        if (got === 0) return null;
        at += got;
      }
      return bytes;
    } finally {
      if (bytes.length > READ_SIZE) this.#share?.budget.give(this.#share.holder, bytes.length);
    }
  }

  #grown(bytes: Bytes, length: number): Bytes {
    const grown = new Uint8Array(Math.min(length, bytes.length + Math.min(bytes.length, GROW_LIMIT)));
    grown.set(bytes);
    const counted = bytes.length > READ_SIZE ? bytes.length : 0;
    this.#share?.budget.take(this.#share.holder, grown.length - counted);
    return grown;
  }

  async #skip(length: number): Promise<boolean> {
    const nowhere = new Uint8Array(READ_SIZE);
    for (let left = length; left > 0; ) {
      const got = await this.#read(nowhere.subarray(0, Math.min(left, READ_SIZE)));
      if (got === 0) return false;
      left -= got;
    }
    return true;
  }

  /** What is left over from the last read first; a long rest goes past the buffer. */
  async #read(into: Uint8Array): Promise<number> {
    if (this.#start === this.#end) {
      if (into.length >= READ_SIZE) return this.#stream.read(into);
      this.#start = 0;
      this.#end = await this.#stream.read(this.#buffer);
    }
    const length = Math.min(into.length, this.#end - this.#start);
    into.set(this.#buffer.subarray(this.#start, this.#start + length));
    this.#start += length;
    return length;
  }
}
