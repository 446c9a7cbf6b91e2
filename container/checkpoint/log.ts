// What criu's log says about a failure, whose answer is a bare number. The lines with "Error" are quoted as warnings,
// each with those before it, and the first of them goes into the sentence: later ones only say that all of it failed.

import { Failure, messageOf } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import * as fs from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";
import type { Voice } from "./settings.ts";

/** Lines before one with an error that are quoted with it. */
const CONTEXT_LINES = 5;
/** Bytes of the log's end that are looked at: a long-lived page server may write a lot. */
const LOG_LIMIT = 1 << 20;
const SEEK_SET = 0;

/** The failure with the reason and the place of the log in its sentence. */
export function explain(thrown: unknown, path: string, voice: Voice): Failure {
  const log = readEnd(path);
  const reason = log === null ? null : quoteErrors(path, log, voice);
  const why = reason === null ? "" : `: ${reason}`;
  const where = log === null ? "" : `\nlog file: ${path}`;
  return new Failure("failed_precondition", `${messageOf(thrown)}${why}${where}`, { cause: thrown });
}

/** The first error without its time and place in criu's source; null without any. */
export function quoteErrors(path: string, log: string, voice: Voice): string | null {
  const lines = log.split("\n");
  let quoted = -1;
  let reason: string | null = null;
  lines.forEach((line, index) => {
    if (!line.includes("Error")) return;
    const from = Math.max(index - CONTEXT_LINES, quoted + 1);
    if (reason === null) voice.warn(`--- Quoting ${JSON.stringify(path)}`);
    else if (from > quoted + 1) voice.warn("...");
    for (let at = from; at <= index; at++) if (lines[at] !== "") voice.warn(`${at + 1}:${lines[at]}`);
    quoted = index;
    reason ??= line.replace(/^.*?Error \([^)]*\):\s*/, "");
  });
  if (reason !== null) voice.warn("---");
  return reason;
}

function readEnd(path: string): string | null {
  try {
    using file = fs.open(path, fs.O_RDONLY);
    const start = Math.max(0, fs.statFd(file.number).size - LOG_LIMIT);
    door().syscall(nr.SYS_lseek, file.number, start, SEEK_SET);
    return door().decode(fs.readAll(file.number, LOG_LIMIT));
  } catch {
    // None was written, or criu's settings put it elsewhere.
    return null;
  }
}
