// Progress of pull, push, load and import: on a terminal one line per layer, redrawn in place; elsewhere each status as
// it comes.

import { JsonLines, type ProgressMessage } from "../../../api/engine/progress.ts";
import type { BodyReader } from "../../../wire/http/body.ts";
import type { Cli } from "../cli.ts";
import { ExitStatus } from "../failure.ts";
import { humanSize } from "../format/units.ts";
import type { Output } from "../output.ts";

/** Terminals wider than this show a bar beside the numbers. */
const WIDE_COLUMNS = 110;

export interface ProgressSink {
  output: Output;
  terminal: boolean;
  columns: number;
  /** Shows nothing; errors still arrive. */
  silent?: boolean;
  /** Told of each `aux` value. */
  aux?: (value: unknown) => void;
}

export function progressTo(cli: Cli, fd: 1 | 2): ProgressSink {
  const size = cli.runtime.terminal.size(fd);
  return { output: fd === 1 ? cli.out : cli.err, terminal: size !== null, columns: size?.columns ?? 200 };
}

/** Reads the stream to its end; an error in it is thrown. */
export async function showProgress(body: BodyReader, sink: ProgressSink): Promise<void> {
  const lines = new JsonLines();
  const board = new Board(sink);
  for (let piece = await body.read(); piece !== null; piece = await body.read()) {
    for (const message of lines.push(piece)) board.show(message as ProgressMessage);
    await sink.output.flush();
  }
  const last = lines.end();
  if (last !== undefined) board.show(last as ProgressMessage);
  await sink.output.flush();
}

class Board {
  readonly #sink: ProgressSink;
  readonly #rows = new Map<string, number>();
  #height = 0;

  constructor(sink: ProgressSink) {
    this.#sink = sink;
  }

  show(message: ProgressMessage): void {
    const failure = message.errorDetail?.message ?? message.error;
    if (failure !== undefined) throw new ExitStatus(1, failure);
    if (message.aux !== undefined) {
      this.#sink.aux?.(message.aux);
      return;
    }
    const { output, terminal, silent } = this.#sink;
    if (silent === true) return;
    const detail = message.progressDetail;
    const measured = detail !== undefined && ((detail.current ?? 0) > 0 || (detail.total ?? 0) > 0);
    if (!terminal && (measured || (message.progress ?? "") !== "")) return;
    if (message.stream !== undefined) {
      output.print(message.stream);
      return;
    }
    const prefix = message.id === undefined || message.id === "" ? "" : `${message.id}: `;
    const text = `${prefix}${message.status ?? ""}`;
    if (!terminal || message.id === undefined || message.id === "" || detail === undefined) {
      this.#rows.clear();
      this.#height = 0;
      output.line(text.replace(/\n$/, ""));
      return;
    }
    this.#redraw(message.id, `${text} ${bar(detail, this.#sink.columns)}`.trimEnd());
  }

  /** Moves to the line of that id, writes it anew, and moves back below the last line. */
  #redraw(id: string, text: string): void {
    const { output } = this.#sink;
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = this.#height++;
      this.#rows.set(id, row);
      output.print("\n");
    }
    const up = this.#height - row;
    output.print(`\u001b[${up}A\u001b[2K\r${text}\r\u001b[${up}B`);
  }
}

function bar(detail: NonNullable<ProgressMessage["progressDetail"]>, columns: number): string {
  const { current = 0, total = 0 } = detail;
  if (current <= 0 && total <= 0) return "";
  const numbers = total <= 0 ? humanSize(current, 4) : `${humanSize(current, 4)}/${humanSize(total, 4)}`;
  if (total <= 0) return numbers;
  if (columns <= WIDE_COLUMNS) return numbers;
  const done = Math.min(50, Math.floor((current / total) * 50));
  const head = done < 50 ? ">" : "";
  return `[${"=".repeat(done)}${head}${" ".repeat(Math.max(0, 50 - done - head.length))}]  ${numbers}`;
}
