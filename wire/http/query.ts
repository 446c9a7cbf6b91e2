// Queries and percent-encoding, over bytes rather than well-formed text: QuickJS has no URLSearchParams, and a path in
// a query may hold any byte.

import { decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";

/** Percent-encodes names and values into a query with its question mark; null values are left out. */
export function formatQuery(fields: Readonly<Record<string, string | number | boolean | null | undefined>>): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined) continue;
    parts.push(`${percentEncode(name)}=${percentEncode(String(value))}`);
  }
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

/** As encodeURIComponent; text may hold surrogate escapes. */
export function percentEncode(text: string): string {
  if (/^[0-9A-Za-z\-_.~]*$/.test(text)) return text;
  let escaped = "";
  for (const byte of encodeUtf8(text)) {
    const letter = String.fromCharCode(byte);
    escaped += /[0-9A-Za-z\-_.~]/.test(letter) ? letter : `%${byte < 16 ? "0" : ""}${byte.toString(16).toUpperCase()}`;
  }
  return escaped;
}

/** Null when an escape is broken. */
export function percentDecode(text: string): string | null {
  if (!text.includes("%")) return text;
  const source = encodeUtf8(text);
  const bytes = new Uint8Array(source.length);
  let length = 0;
  for (let at = 0; at < source.length; at++) {
    let byte = source[at]!;
    if (byte === 0x25) {
      const digits = String.fromCharCode(source[at + 1] ?? 0, source[at + 2] ?? 0);
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) return null;
      byte = Number.parseInt(digits, 16);
      at += 2;
    }
    bytes[length++] = byte;
  }
  return decodeUtf8(bytes.subarray(0, length));
}

/** The fields of a query in order, as Go's url.ParseQuery reads them: "+" is a space. Broken escapes give null. */
export function parseQuery(query: string): Map<string, string[]> | null {
  const fields = new Map<string, string[]>();
  for (const part of query.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = percentDecode((equals < 0 ? part : part.slice(0, equals)).replace(/\+/g, " "));
    const value = percentDecode((equals < 0 ? "" : part.slice(equals + 1)).replace(/\+/g, " "));
    if (name === null || value === null) return null;
    const held = fields.get(name);
    if (held === undefined) fields.set(name, [value]);
    else held.push(value);
  }
  return fields;
}
