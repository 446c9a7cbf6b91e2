// The size of the user's terminal, sent to a container or exec at its start and whenever it changes.

import type { Cli } from "../cli.ts";

const FIRST_TRIES = 10;
const TRY_PAUSE_MS = 10;

/** `kind` is "containers" or "exec". Follows SIGWINCH until disposed. */
export function followSize(cli: Cli, kind: "containers" | "exec", id: string): Disposable {
  let stopped = false;
  void firstSize(cli, `/${kind}/${id}/resize`, () => stopped);
  const signal = cli.runtime.onSignal("SIGWINCH", () => void resize(cli, `/${kind}/${id}/resize`));
  return {
    [Symbol.dispose]: () => {
      stopped = true;
      signal[Symbol.dispose]();
    },
  };
}

/** The process may not be there yet: an exec is made by the call whose answer is its stream. */
async function firstSize(cli: Cli, path: string, stopped: () => boolean): Promise<void> {
  for (let round = 0; round < FIRST_TRIES && !stopped(); round++) {
    if (await resize(cli, path)) return;
    await cli.runtime.clock.sleep(TRY_PAUSE_MS * (round + 1));
  }
}

async function resize(cli: Cli, path: string): Promise<boolean> {
  const size = cli.runtime.terminal.size(1) ?? cli.runtime.terminal.size(0);
  if (size === null || (size.rows === 0 && size.columns === 0)) return true;
  try {
    await cli.engine.post(path, { query: { h: size.rows, w: size.columns } });
    return true;
  } catch {
    return false;
  }
}

export function consoleSize(cli: Cli): [number, number] {
  const size = cli.runtime.terminal.size(1);
  return size === null ? [0, 0] : [size.rows, size.columns];
}

/** Refuses a terminal for the container when what is typed comes from none. */
export function requireTerminal(cli: Cli, attachStdin: boolean, tty: boolean): void {
  if (tty && attachStdin && !cli.runtime.terminal.isTerminal(0)) throw new Error("the input device is not a TTY");
}
