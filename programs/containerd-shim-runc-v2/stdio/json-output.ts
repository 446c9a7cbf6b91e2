// The shim's own log as the sink of a process's streams: each chunk goes to the log file, then to the attached clients.
//
//     json-file://<abs log path>?max-size=<bytes>&max-file=<n>&attach=<abs path of a unix socket>   (percent-encoded)

import { Failure } from "../../../base/errors.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { LOG_FILES_DEFAULT, LOG_SIZE_DEFAULT } from "../limits.ts";
import { parseUri } from "../uri.ts";
import { AttachServer } from "./attach.ts";
import { JsonFile, type StreamName } from "./jsonfile.ts";
import { LogFile } from "./logfile.ts";
import type { Sink } from "./pump.ts";
import type { StdinWriter } from "./stdin.ts";

export interface JsonFileOutput {
  /** Begins to accept clients, who feed this stdin. */
  listen(stdin: StdinWriter | null): void;
  sink(stream: StreamName): Sink;
  close(): void;
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

export function openJsonFile(
  loop: Loop,
  uri: string,
  how: { terminal: boolean; warn: (sentence: string) => void; lingering: Set<unknown> },
): JsonFileOutput {
  const { path, maxSize, maxFiles, attach } = parseLogUri(uri);
  const file = new LogFile({ path, maxSize, maxFiles, warn: how.warn });
  const json = new JsonFile(file);
  const streams: readonly StreamName[] = how.terminal ? ["stdout"] : ["stdout", "stderr"];
  const sinks: Sink[] = [];
  let server: AttachServer | null = null;
  const progress = () => {
    if (server?.full !== true) for (const sink of sinks) sink.resume();
  };
  return {
    listen(stdin) {
      if (attach !== null) server = new AttachServer(loop, { ...how, path: attach, stdin, progress }, streams);
    },
    sink(stream) {
      const sink: Sink = {
        resume: () => {},
        write(chunk) {
          json.write(stream, chunk);
          return server?.write(stream, chunk) ?? true;
        },
        end() {
          json.end(stream);
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
