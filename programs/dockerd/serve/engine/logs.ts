// GET /containers/{id}/logs: entries of the log in the range asked for, framed or raw, perhaps on and on.

import { encodeFrame } from "../../../../api/engine/frames.ts";
import { encodeUtf8 } from "../../../../base/bytes.ts";
import { Failure } from "../../../../base/errors.ts";
import type { Container } from "../../containers/container.ts";
import { logSourceOf } from "../../containers/logging.ts";
import type { Engine } from "../../engine.ts";
import { type LogEntry, momentOf, timeText } from "../../output/entry.ts";
import { readLog } from "../../output/logread.ts";
import { parseMoment } from "../../system/moment.ts";
import { streamType } from "./attach.ts";
import type { Exchange } from "./exchange.ts";

export interface LogOptions {
  stdout: boolean;
  stderr: boolean;
  follow: boolean;
  timestamps: boolean;
  details: boolean;
  tail: number | null;
  /** Nanoseconds since 1970. */
  since: bigint | null;
  until: bigint | null;
}

export function logOptions(exchange: Exchange): LogOptions {
  const [stdout, stderr] = [exchange.flag("stdout"), exchange.flag("stderr")];
  if (!stdout && !stderr) throw new Failure("invalid_argument", "Bad parameters: you must choose at least one stream");
  const moment = (name: string) => {
    const text = exchange.text(name);
    return text === "" || text === "0" ? null : parseMoment(text, Date.now());
  };
  const tail = exchange.text("tail");
  const number = /^\d{1,15}$/.test(tail) ? Number(tail) : null;
  return {
    stdout,
    stderr,
    follow: exchange.flag("follow"),
    timestamps: exchange.flag("timestamps"),
    details: exchange.flag("details"),
    tail: number,
    since: moment("since"),
    until: moment("until"),
  };
}

export async function sendLogs(
  engine: Engine,
  of: { container: Container; exchange: Exchange; options: LogOptions },
): Promise<void> {
  const { container, exchange, options } = of;
  const log = logSourceOf(engine, container.record);
  if (log === null) {
    throw new Failure("unimplemented", "configured logging driver does not support reading");
  }
  const tty = container.record.config.Tty === true;
  const follow = options.follow && (container.running || container.record.state.status === "restarting");
  const ended = container.wait("not-running");
  const removed = container.wait("removed");
  const cancelled: { aborted: boolean; onabort: (() => void) | null } = { aborted: false, onabort: null };
  const writer = await exchange.open(200, streamType(exchange, tty));
  using _gone = exchange.responder.watchGone(() => {
    cancelled.aborted = true;
    cancelled.onabort?.();
  });
  const stop = () => {
    cancelled.aborted = true;
    cancelled.onabort?.();
  };
  // until in the future ends a follower even when nothing is written any more.
  const left = options.until === null ? null : Number(options.until / 1_000_000n) - Date.now();
  using _limit = follow && left !== null ? engine.clock.timer(Math.max(0, left), stop) : null;
  try {
    const over = Promise.race([ended.report, removed.report]);
    const { tail, since } = options;
    const source = readLog(log, { tail, since, follow, ended: over, cancelled });
    let batch: Uint8Array[] = [];
    let held = 0;
    const flush = async () => {
      if (held === 0) return;
      await writer.write(Buffer.concat(batch));
      batch = [];
      held = 0;
    };
    for await (const entry of source) {
      const verdict = judge(entry, options);
      if (verdict === "after") break;
      if (verdict === "skip") continue;
      const bytes = renderEntry(entry, options);
      const piece = tty ? bytes : encodeFrame(entry.stream, bytes);
      batch.push(piece);
      held += piece.length;
      if (follow || held >= BATCH_BYTES) await flush();
    }
    await flush();
    await writer.end();
  } finally {
    ended.cancel();
    removed.cancel();
  }
}

/** Bytes gathered before they are written, where nobody waits for the single line. */
const BATCH_BYTES = 32 * 1024;

function judge(entry: LogEntry, options: LogOptions): "take" | "skip" | "after" {
  if (entry.stream === "stdout" ? !options.stdout : !options.stderr) return "skip";
  if (options.since === null && options.until === null) return "take";
  const time = momentOf(entry);
  if (options.since !== null && time < options.since) return "skip";
  return options.until !== null && time > options.until ? "after" : "take";
}

export function renderEntry(entry: LogEntry, options: { timestamps: boolean; details: boolean }): Uint8Array {
  let before = options.timestamps ? `${fixedTime(timeText(entry))} ` : "";
  if (options.details) {
    const pairs = Object.entries(entry.attrs ?? {}).map(
      ([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`,
    );
    before += `${pairs.toSorted().join(",")} `;
  }
  return before === "" ? entry.bytes : Buffer.concat([encodeUtf8(before), entry.bytes]);
}

/** Nine digits of the second, so that columns stand under each other. */
function fixedTime(time: string): string {
  const match = /^(.*?)(?:\.(\d+))?Z$/.exec(time);
  return match === null ? time : `${match[1]}.${(match[2] ?? "").padEnd(9, "0").slice(0, 9)}Z`;
}
