// This process's terminal lent to a container: raw while it runs, its size carried over whenever it changes.

import { Failure } from "../../../base/errors.ts";
import type { ProcessName, TaskService } from "../../../core/tasks/tasks.ts";
import { sentenceOf } from "../cli/errors.ts";
import { log } from "../cli/log.ts";

/** Raw until disposed. Throws when stdin is no terminal. */
export function rawTerminal(): Disposable {
  if (!process.stdin.isTTY) throw new Failure("failed_precondition", "provided file is not a console");
  process.stdin.setRawMode(true);
  return { [Symbol.dispose]: () => void process.stdin.setRawMode(false) };
}

/** Until disposed. */
export function carrySize(tasks: TaskService, process_: ProcessName): Disposable {
  const send = () => {
    const { columns, rows } = process.stdout;
    if (columns === undefined || columns === 0) return;
    tasks.resize(process_, { width: columns, height: rows }).catch((thrown: unknown) => {
      log("error", "resize pty", sentenceOf(thrown));
    });
  };
  send();
  // The stream refreshes its size with this signal, too, before those who listen later.
  process.stdout.on("resize", send);
  process.on("SIGWINCH", keep);
  return {
    [Symbol.dispose]() {
      process.stdout.off("resize", send);
      process.off("SIGWINCH", keep);
    },
  };
}

function keep(): void {}
