// Frames of the shim's attach socket, as PROTOCOL.md draws them: type, three zero bytes, the payload's length as u32
// big-endian, payload. The shim serves them, dockerd calls.

import type { Bytes } from "../../base/bytes.ts";

export const FRAME_STDIN = 0;
export const FRAME_STDOUT = 1;
export const FRAME_STDERR = 2;
/** Text of an error; ends the stream. */
export const FRAME_ERROR = 3;
/** Towards the shim: the end of standard input. */
export const FRAME_CLOSE_STDIN = 4;
/** Towards the shim: one byte, 1 for stdout and 2 for stderr, and Places if the connection was lost: what is there
 *  already. Its answer says that nothing later can be missed: one byte where FRAME_END tells the end of the output, and
 *  Places, at which what comes next begins. */
export const FRAME_SUBSCRIBE = 8;
export const FRAME_SUBSCRIBED = 9;
/** Towards the shim: the inode of a rotated log, 64 bits big-endian, whose compressed form is `<log>.compressed`. The
 *  answer is one byte: 1 it stands in its place, 0 that file is gone. */
export const FRAME_COMPRESSED = 10;
export const FRAME_REPLACED = 11;
/** Nothing more will come. A connection that ends without it lost its shim. */
export const FRAME_END = 12;

/** Bytes of each stream since the container's start. */
export interface Places {
  stdout: number;
  stderr: number;
}

/** Two numbers of 64 bits, big-endian. */
export const PLACES_LENGTH = 16;

export const FRAME_HEADER = 8;
/** Bytes of one frame's payload. */
export const ATTACH_FRAME_LIMIT = 64 << 10;

export function writeHeader(frame: Uint8Array, type: number, length: number): void {
  frame[0] = type;
  frame[1] = frame[2] = frame[3] = 0;
  frame[4] = (length >>> 24) & 255;
  frame[5] = (length >>> 16) & 255;
  frame[6] = (length >>> 8) & 255;
  frame[7] = length & 255;
}

/** A whole frame in one piece. */
export function attachFrame(type: number, payload: Uint8Array): Bytes {
  const frame = new Uint8Array(FRAME_HEADER + payload.length);
  writeHeader(frame, type, payload.length);
  frame.set(payload, FRAME_HEADER);
  return frame;
}

export function encodePlaces({ stdout, stderr }: Places): Bytes {
  const bytes = new Uint8Array(PLACES_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(stdout));
  view.setBigUint64(8, BigInt(stderr));
  return bytes;
}

/** The caller has looked that there are PLACES_LENGTH bytes. */
export function decodePlaces(bytes: Uint8Array): Places {
  const view = new DataView(bytes.buffer, bytes.byteOffset, PLACES_LENGTH);
  return { stdout: Number(view.getBigUint64(0)), stderr: Number(view.getBigUint64(8)) };
}
