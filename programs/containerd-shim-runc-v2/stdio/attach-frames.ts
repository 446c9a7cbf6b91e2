// Frames of the attach socket (drawn in attach.ts): type, three zero bytes, the payload's length as u32 big-endian.

export const FRAME_STDIN = 0;
export const FRAME_STDOUT = 1;
export const FRAME_STDERR = 2;
export const FRAME_ERROR = 3;
export const FRAME_CLOSE_STDIN = 4;
export const FRAME_SUBSCRIBE = 8;
export const FRAME_SUBSCRIBED = 9;

export const FRAME_HEADER = 8;

export function writeHeader(frame: Uint8Array, type: number, length: number): void {
  frame[0] = type;
  frame[1] = frame[2] = frame[3] = 0;
  frame[4] = (length >>> 24) & 255;
  frame[5] = (length >>> 16) & 255;
  frame[6] = (length >>> 8) & 255;
  frame[7] = length & 255;
}
