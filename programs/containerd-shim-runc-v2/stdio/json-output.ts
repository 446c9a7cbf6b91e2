// The shim's own log as the sink of a process's streams: each chunk goes to the log file, then to the attached clients.
//
//     json-file://<abs log path>?max-size=<bytes>&max-file=<n>&attach=<abs path of a unix socket>   (percent-encoded)

import { Failure } from "../../../base/errors.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { ATTACH_RETURN_TIMEOUT, LOG_FILES_DEFAULT, LOG_SIZE_DEFAULT } from "../limits.ts";
import { parseUri } from "../uri.ts";
import { AttachServer } from "./attach.ts";
import { MemoryLine } from "./held.ts";
import { Journal } from "./journal.ts";
import { JsonFile, type StreamName } from "./jsonfile.ts";
import { LogFile } from "./logfile.ts";
import type { ChunkReader, Sink } from "./pump.ts";
import type { StdinWriter } from "./stdin.ts";

export interface JsonFileOutput {
  /** Begins to accept clients, who feed this stdin. */
  listen(stdin: StdinWriter | null): void;
  sink(stream: StreamName): Sink;
  reader(stream: StreamName): ChunkReader;
  /** Resolves when the clients of a killed shim are back, or had the time for it. */
  clientsBack(): Promise<void>;
  close(): void;
}

export interface JsonFileParts {
  terminal: boolean;
  /** Of the journal, in the bundle. */
  journal: string;
  warn: (sentence: string) => void;
  lingering: Set<unknown>;
}

interface LogUri {
  path: string;
  maxSize: number;
  maxFiles: number;
  attach: string | null;
}

export function parseLogUri(text: string): LogUri {
  const uri = parseUri(text);
  const attach = uri.query.get("attach") ?? null;
  for (const path of [uri.path, attach ?? "/"]) {
    if (!path.startsWith("/")) throw new Failure("invalid_argument", `${text}: ${path} is not an absolute path`);
  }
  return {
    path: uri.path,
    maxSize: positive(uri.query.get("max-size"), LOG_SIZE_DEFAULT),
    maxFiles: positive(uri.query.get("max-file"), LOG_FILES_DEFAULT),
    attach,
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

export function openJsonFile(loop: Loop, uri: string, how: JsonFileParts): JsonFileOutput {
  const { path, maxSize, maxFiles, attach } = parseLogUri(uri);
  const journal = new Journal(how.journal, how.warn);
  const file = new LogFile({ path, maxSize, maxFiles, warn: how.warn, journal });
  // With a terminal no later shim can go on, so nothing is kept for one.
  const held = (stream: StreamName) => (how.terminal ? new MemoryLine() : journal.held(stream));
  const json = new JsonFile(file, { stdout: held("stdout"), stderr: held("stderr") });
  json.leaveOut(file.leaveOut);
  const missing = journal.clients;
  const streams: readonly StreamName[] = how.terminal ? ["stdout"] : ["stdout", "stderr"];
  const sinks: Sink[] = [];
  let server: AttachServer | null = null;
  let back: (() => void) | null = null;
  const watched = (clients: number) => {
    if (clients >= missing) back?.();
    if (back === null) journal.clients = clients;
  };
  const progress = () => {
    if (server?.full !== true) for (const sink of sinks) sink.resume();
  };
  return {
    listen(stdin) {
      if (attach !== null) server = new AttachServer(loop, { ...how, path: attach, stdin, progress, watched }, streams);
    },
    sink(stream) {
      const sink: Sink = {
        resume: () => {},
        write(chunk) {
          json.write(stream, chunk);
          return server?.write(stream, chunk) ?? true;
        },
        end() {
          journal.ending(stream);
          json.end(stream);
          journal.ended();
          server?.end(stream);
        },
      };
      sinks.push(sink);
      return sink;
    },
    reader: (stream) => journal.reader(stream),
    async clientsBack() {
      if (missing === 0 || server === null) return;
      await new Promise<void>((resolve) => {
        const timeout = loop.timer(ATTACH_RETURN_TIMEOUT, resolve);
        back = () => {
          timeout[Symbol.dispose]();
          resolve();
        };
      });
      back = null;
    },
    close() {
      server?.close();
      file.close();
      journal.close();
    },
  };
}
