// Logs that a shim wrote, in either format, for its tests.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { LogEntry } from "../../api/task/gen/log_entry.ts";

export const SCHEMES = ["json-file", "local"] as const;
export type Scheme = (typeof SCHEMES)[number];

export interface Entry {
  /** Without its newline. */
  line: string;
  stream: "stdout" | "stderr";
}

/** Throws on what is not whole. */
export function entriesOf(path: string, scheme: Scheme): Entry[] {
  const bytes = readFileSync(path);
  return scheme === "local" ? messagesOf(bytes) : objectsOf(bytes.toString());
}

/** Nothing while there is no log, or while a write is under way, of which a reader may see a part. */
export function entriesSoFar(path: string, scheme: Scheme): Entry[] {
  try {
    return entriesOf(path, scheme);
  } catch {
    return [];
  }
}

function objectsOf(text: string): Entry[] {
  assert(text === "" || text.endsWith("}\n"));
  const lines = text.split("\n").filter(Boolean);
  return lines.map((line) => {
    const { log, stream } = JSON.parse(line) as { log: string; stream: Entry["stream"] };
    return { line: log.replace(/\n$/, ""), stream };
  });
}

function messagesOf(bytes: Buffer): Entry[] {
  const found: Entry[] = [];
  for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32BE(at)) {
    const length = bytes.readUInt32BE(at);
    assert.equal(bytes.readUInt32BE(at + 4 + length), length);
    const { line, source } = LogEntry.decode(bytes.subarray(at + 4, at + 4 + length));
    found.push({ line: Buffer.from(line).toString(), stream: source as Entry["stream"] });
  }
  return found;
}
