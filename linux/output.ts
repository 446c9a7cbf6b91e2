// A program of the host run to its end by `runc` itself, with what it printed: ps, newuidmap. Hooks, which also read
// and may be too slow, have their own (container/hooks.ts).

import { closeOnExecFrom } from "./credential.ts";
import { door } from "./door.ts";
import { errnoSentence } from "./errno.ts";
import * as fs from "./fd.ts";
import { type Exit, execve, exit, forkTo, waitChild } from "./process.ts";
import { resetSignals } from "./signal.ts";

const EXIT_NOT_EXECUTED = 127;

export interface ProgramStart {
  /** Absolute. */
  program: string;
  args: readonly string[];
  env: readonly string[];
  /** Bytes of output; more is an error. */
  limit: number;
}

/** Both outputs in one text. It inherits no descriptor of ours but the standard ones, and no disposition of signals. */
export function outputOf({ program, args, env, limit }: ProgramStart): { text: string; ended: Exit | null } {
  const output = fs.pipe();
  const pid = forkTo(() => {
    fs.duplicateTo(output.write.number, 1);
    fs.duplicateTo(output.write.number, 2);
    closeOnExecFrom(3);
    resetSignals();
    const errno = execve(program, args, env);
    fs.writeAll(2, door().encode(`exec ${program}: ${errnoSentence(errno)}`));
    exit(EXIT_NOT_EXECUTED);
  });
  output.write.close();
  using reader = output.read;
  return { text: door().decode(fs.readAll(reader.number, limit)), ended: waitChild(pid) };
}
