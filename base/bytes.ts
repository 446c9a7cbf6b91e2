// Bytes and text, the same on both engines. The codec is a seam: each runtime installs its native one at start,
// because the portable one below is some fifty times slower (QuickJS has no TextEncoder).
//
// Text is UTF-8 with surrogate escapes: a byte that is not valid UTF-8 becomes the lone surrogate U+DC80+byte-0x80 and
// turns back into that byte, so a path of any bytes survives the way through a string (as Python's PEP 383 does it).

export type Bytes = Uint8Array<ArrayBuffer>;

export interface Utf8Codec {
  encode(text: string): Bytes;
  decode(bytes: Uint8Array): string;
}

/** The rule itself, for a native codec to fall back on. */
export const portableUtf8: Utf8Codec = { encode: portableEncode, decode: portableDecode };

let codec: Utf8Codec | null = null;

/** Called once by the runtime, before main. */
export function installUtf8(native: Utf8Codec): void {
  codec = native;
}

export function encodeUtf8(text: string): Bytes {
  return codec === null ? portableEncode(text) : codec.encode(text);
}

export function decodeUtf8(bytes: Uint8Array): string {
  return codec === null ? portableDecode(bytes) : codec.decode(bytes);
}

export function concatBytes(parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += (byte < 16 ? "0" : "") + byte.toString(16);
  return text;
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const [a, b, c] = [bytes[at]!, bytes[at + 1], bytes[at + 2]];
    text += BASE64[a >> 2]! + BASE64[((a & 3) << 4) | ((b ?? 0) >> 4)]!;
    text += b === undefined ? "=" : BASE64[((b & 15) << 2) | ((c ?? 0) >> 6)]!;
    text += c === undefined ? "=" : BASE64[c & 63]!;
  }
  return text;
}

/** Accepts the standard and the URL alphabet, with or without padding; null when the text is neither. */
export function fromBase64(text: string): Bytes | null {
  const clean = text.replace(/-/g, "+").replace(/_/g, "/").replace(/=+$/, "");
  if (clean.length % 4 === 1) return null;
  const bytes = new Uint8Array((clean.length * 3) >> 2);
  let [bits, held, at] = [0, 0, 0];
  for (const letter of clean) {
    const value = BASE64.indexOf(letter);
    if (value < 0) return null;
    bits = ((bits << 6) | value) & 0xffffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[at++] = (bits >> held) & 255;
    }
  }
  return bytes;
}

function portableEncode(text: string): Bytes {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const point = text.codePointAt(at)!;
    if (point > 0xffff) at++;
    if (point < 0x80) bytes.push(point);
    else if (point >= 0xdc80 && point <= 0xdcff) bytes.push(point - 0xdc00);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 63));
    else if (point < 0x10000) bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
    else bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
  }
  return Uint8Array.from(bytes);
}

function portableDecode(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const [point, length] = decodePoint(bytes, at);
    text += String.fromCodePoint(point);
    at += length;
  }
  return text;
}

/** One code point and how many bytes it took; an invalid byte is escaped and takes one. */
function decodePoint(bytes: Uint8Array, at: number): [point: number, length: number] {
  const first = bytes[at]!;
  if (first < 0x80) return [first, 1];
  const length =
    first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xc2 && first < 0xe0 ? 2 : 0;
  if (length === 0 || at + length > bytes.length) return [0xdc00 + first, 1];
  let point = first & (0x7f >> length);
  for (let next = 1; next < length; next++) {
    const byte = bytes[at + next]!;
    if ((byte & 0xc0) !== 0x80) return [0xdc00 + first, 1];
    point = (point << 6) | (byte & 63);
  }
  const least = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000;
  const surrogate = point >= 0xd800 && point <= 0xdfff;
  return point < least || point > 0x10ffff || surrogate ? [0xdc00 + first, 1] : [point, length];
}
