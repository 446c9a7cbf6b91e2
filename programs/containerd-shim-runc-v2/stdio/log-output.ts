// The shim's own log as the sink of a process's streams: each chunk goes to the log file, then to the attached clients.
//
//     json-file://<abs log path>?max-size=<bytes>&max-file=<n>&attach=<abs path of a unix socket>&attrs=<JSON object>
//     local://…                                                                                    (percent-encoded)

import { Failure } from "../../../base/errors.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { LOG_FILES_DEFAULT, LOG_SIZE_DEFAULT } from "../limits.ts";
import { parseUri } from "../uri.ts";
import { AttachServer } from "./attach.ts";
import { JsonRecords } from "./json-records.ts";
import { LogLines } from "./lines.ts";
import { LocalRecords } from "./local-records.ts";
import { LogFile } from "./logfile.ts";
import type { Sink } from "./pump.ts";
import type { StreamName } from "./records.ts";
import type { StdinWriter } from "./stdin.ts";

/** The formats that are advertised by -info and asked for as schemes. */
export const LOG_SCHEMES = ["json-file", "local"] as const;

export function isLogUri(text: string): boolean {
  return LOG_SCHEMES.some((scheme) => text.startsWith(`${scheme}://`));
}

export interface LogOutput {
  /** Begins to accept clients, who feed this stdin. */
  listen(stdin: StdinWriter | null): void;
  sink(stream: StreamName): Sink;
  close(): void;
}

interface LogUri {
  format: "json-file" | "local";
  path: string;
  maxSize: number;
  maxFiles: number;
  attach: string | null;
  attrs: Record<string, string>;
}

export function parseLogUri(text: string): LogUri {
  const uri = parseUri(text);
  const attach = uri.query.get("attach") ?? null;
  for (const path of [uri.path, attach ?? "/"]) {
    if (!path.startsWith("/")) throw new Failure("invalid_argument", `${text}: ${path} is not an absolute path`);
  }
  const size = uri.query.get("max-size");
  return {
    format: uri.scheme === "local" ? "local" : "json-file",
    path: uri.path,
    maxSize: size === "-1" ? Number.POSITIVE_INFINITY : positive(size, LOG_SIZE_DEFAULT),
    maxFiles: positive(uri.query.get("max-file"), LOG_FILES_DEFAULT),
    attach,
    attrs: attributes(uri.query.get("attrs") ?? "{}"),
  };
}

function positive(text: string | undefined, initial: number): number {
  if (text === undefined) return initial;
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || !Number.isSafeInteger(number)) {
    throw new Failure("invalid_argument", `${text} is not a positive number`);
  }
  return number;
}

function attributes(text: string): Record<string, string> {
  try {
    const value: unknown = JSON.parse(text);
    if (isTexts(value)) return value;
  } catch {
    // Said below.
  }
  throw new Failure("invalid_argument", `attrs=${text} is not an object of strings`);
}

function isTexts(value: unknown): value is Record<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((one) => typeof one === "string");
}

export function openLogOutput(
  loop: Loop,
  uri: string,
  how: { terminal: boolean; warn: (sentence: string) => void; lingering: Set<unknown> },
): LogOutput {
  const { format, path, maxSize, maxFiles, attach, attrs } = parseLogUri(uri);
  const records = format === "local" ? new LocalRecords(attrs) : new JsonRecords(attrs);
  const file = new LogFile({ path, maxSize, maxFiles, format: records, warn: how.warn });
  const lines = new LogLines(file, records);
  const streams: readonly StreamName[] = how.terminal ? ["stdout"] : ["stdout", "stderr"];
  const sinks: Sink[] = [];
  let server: AttachServer | null = null;
  const progress = () => {
    if (server?.full !== true) for (const sink of sinks) sink.resume();
  };
  return {
    listen(stdin) {
      if (attach === null) return;
      const spillDirectory = path.slice(0, path.lastIndexOf("/") + 1);
      const compressed = (inode: bigint) => file.replaceRotated(inode);
      server = new AttachServer(loop, { ...how, path: attach, stdin, spillDirectory, progress, compressed }, streams);
    },
    sink(stream) {
      const sink: Sink = {
        resume: () => {},
        write(chunk) {
          lines.write(stream, chunk);
          return server?.write(stream, chunk) ?? true;
        },
        relax: () => lines.relax(),
        end() {
          lines.end(stream);
          server?.end(stream);
        },
      };
      sinks.push(sink);
      return sink;
    },
    close() {
      server?.close();
      file.close();
    },
  };
}
