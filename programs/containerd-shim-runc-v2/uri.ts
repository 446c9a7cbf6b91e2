// URIs of stdio as containerd's clients write them: scheme://path?key=value, percent-encoded.

import { decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";

export interface StdioUri {
  /** "" for a bare path. */
  scheme: string;
  path: string;
  /** In order; of a repeated key the first value. */
  query: Map<string, string>;
}

export function parseUri(text: string): StdioUri {
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^?#]*)(?:\?([^#]*))?/i.exec(text);
  if (match === null) return { scheme: "", path: text, query: new Map() };
  const query = new Map<string, string>();
  for (const pair of (match[3] ?? "").split("&")) {
    if (pair === "") continue;
    const [key, value] = [pair.replace(/=.*$/, ""), pair.includes("=") ? pair.replace(/^[^=]*=/, "") : ""];
    const name = percentDecode(key.replace(/\+/g, " "));
    if (!query.has(name)) query.set(name, percentDecode(value.replace(/\+/g, " ")));
  }
  return { scheme: match[1]!.toLowerCase(), path: percentDecode(match[2]!), query };
}

function percentDecode(text: string): string {
  if (!text.includes("%")) return text;
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== "%") {
      const point = String.fromCodePoint(text.codePointAt(at)!);
      bytes.push(...encodeUtf8(point));
      at += point.length - 1;
      continue;
    }
    const digits = text.slice(at + 1, at + 3);
    if (!/^[0-9a-fA-F]{2}$/.test(digits)) throw new Failure("invalid_argument", `invalid URL escape "%${digits}"`);
    bytes.push(Number.parseInt(digits, 16));
    at += 2;
  }
  return decodeUtf8(Uint8Array.from(bytes));
}
