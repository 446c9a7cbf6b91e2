// Signals that reach this command go to the container instead, while a command is attached to it.

import type { Cli } from "../cli.ts";

const PROXIED = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "CONT", "TSTP", "TTIN", "TTOU"];

export function proxySignals(cli: Cli, id: string): Disposable {
  const watching = PROXIED.map((name) =>
    cli.runtime.onSignal(`SIG${name}`, () => {
      // A container that has ended meanwhile needs no signal.
      cli.engine.post(`/containers/${id}/kill`, { query: { signal: name } }).catch(() => {});
    }),
  );
  return {
    [Symbol.dispose]: () => {
      for (const one of watching) one[Symbol.dispose]();
    },
  };
}
