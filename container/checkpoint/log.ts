// What criu's log says about a failure, whose answer is a bare number. The lines with "Error" are quoted as warnings,
// each with those before it, and one of them goes into the sentence.

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

/** The reason without its time and place in criu's source; null without an error. Early ones may be of attempts that
 *  are not needed, the last ones only say that all of it failed: so the last one that says more. */
export function quoteErrors(path: string, log: string, voice: Voice): string | null {
  const lines = log.split("\n");
  let quoted = -1;
  const reasons: string[] = [];
  lines.forEach((line, index) => {
    if (!line.includes("Error")) return;
    const from = Math.max(index - CONTEXT_LINES, quoted + 1);
    if (quoted < 0) voice.warn(`--- Quoting ${JSON.stringify(path)}`);
    else if (from > quoted + 1) voice.warn("...");
    for (let at = from; at <= index; at++) if (lines[at] !== "") voice.warn(`${at + 1}:${lines[at]}`);
    quoted = index;
    reasons.push(line.replace(/^.*?Error \([^)]*\):\s*/, ""));
  });
  if (reasons.length === 0) return null;
  voice.warn("---");
  return reasons.findLast((one) => !/fail/i.test(one)) ?? reasons[0]!;
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
