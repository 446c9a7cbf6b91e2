// The shim's own log as the sink of a process's streams: each chunk goes to the log file, then to the attached clients.
//
//     json-file://<abs log path>?max-size=<bytes>&max-file=<n>&attach=<abs path of a unix socket>&attrs=<JSON object>
//     local://…                                                                                    (percent-encoded)

import { Failure } from "../../../base/errors.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { ATTACH_RETURN_TIMEOUT, LOG_FILES_DEFAULT, LOG_SIZE_DEFAULT } from "../limits.ts";
import { parseUri } from "../uri.ts";
import { AttachServer } from "./attach.ts";
import { Journal } from "./journal.ts";
import { JsonRecords } from "./json-records.ts";
import { LogLines } from "./lines.ts";
import { LocalRecords } from "./local-records.ts";
import { LogFile } from "./logfile.ts";
import type { ChunkReader, Sink } from "./pump.ts";
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
  /** Null with a terminal, whose task no other shim can take over. */
  reader(stream: StreamName): ChunkReader | null;
  /** Resolves when the clients of a killed shim are back, or had the time for it. */
  clientsBack(): Promise<void>;
  close(): void;
}

export interface LogParts {
  terminal: boolean;
  /** The path of the journal, in the bundle. */
  journal: string;
  warn: (sentence: string) => void;
  lingering: Set<unknown>;
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

export function openLogOutput(loop: Loop, uri: string, how: LogParts): LogOutput {
  const { format, path, maxSize, maxFiles, attach, attrs } = parseLogUri(uri);
  const records = format === "local" ? new LocalRecords(attrs) : new JsonRecords(attrs);
  const journal = new Journal(how.journal, how.warn);
  const file = new LogFile({ path, maxSize, maxFiles, format: records, warn: how.warn, journal });
  const lines = new LogLines(file, records, journal.lines());
  lines.leaveOut = file.leaveOut;
  journal.heldOf = (stream) => lines.held[stream];
  const streams: readonly StreamName[] = how.terminal ? ["stdout"] : ["stdout", "stderr"];
  const sinks: Sink[] = [];
  let server: AttachServer | null = null;
  const back = new Returning(loop, journal);
  const progress = () => {
    if (server?.full !== true) for (const sink of sinks) sink.resume();
  };
  return {
    listen(stdin) {
      if (attach === null) return;
      const spillDirectory = path.slice(0, path.lastIndexOf("/") + 1);
      const compressed = (inode: bigint) => file.replaceRotated(inode);
      const more = { spillDirectory, compressed, watched: how.terminal ? () => {} : back.watched, journal };
      server = new AttachServer(loop, { ...how, path: attach, stdin, progress, ...more }, streams);
    },
    sink(stream) {
      const sink: Sink = {
        resume: () => {},
        write(chunk) {
          // Who waits for it gets it first: what they have is told of the chunk's beginning, so this may be repeated.
          const room = server?.write(stream, chunk) ?? true;
          lines.write(stream, chunk);
          journal.places[stream] += chunk.length;
          return room;
        },
        relax() {
          lines.relax();
          journal.relax();
        },
        end() {
          journal.ending(stream);
          lines.end(stream);
          journal.ended();
          server?.end(stream);
        },
      };
      sinks.push(sink);
      return sink;
    },
    reader: (stream) => (how.terminal ? null : journal.reader(stream)),
    clientsBack: () => (server === null ? Promise.resolve() : back.all()),
    close() {
      server?.close();
      file.close();
      journal.close();
    },
  };
}

/** The clients who watched the output when the last shim was killed: what comes next is theirs, too, so it waits until
 *  as many are there again, for a bounded time. */
class Returning {
  readonly #loop: Loop;
  readonly #journal: Journal;
  readonly #missing: number;
  #now = 0;
  #waiting: (() => void) | null = null;

  constructor(loop: Loop, journal: Journal) {
    this.#loop = loop;
    this.#journal = journal;
    this.#missing = journal.clients;
  }

  readonly watched = (clients: number): void => {
    this.#now = clients;
    if (this.#waiting === null) this.#journal.clients = clients;
    else if (clients >= this.#missing) this.#waiting();
  };

  async all(): Promise<void> {
    if (this.#missing === 0) return;
    await new Promise<void>((resolve) => {
      const timeout = this.#loop.timer(ATTACH_RETURN_TIMEOUT, resolve);
      this.#waiting = () => {
        timeout[Symbol.dispose]();
        resolve();
      };
    });
    this.#waiting = null;
    this.#journal.clients = this.#now;
  }
}
