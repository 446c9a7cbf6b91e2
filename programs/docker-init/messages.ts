// What docker-init says, in the original's words: scripts and dockerd read the version line, people search the web for
// the rest. Levels as there: 0 errors only, 1 warnings, 2 information, 3 debugging, 4 and more a trace.

import { door } from "../../linux/door.ts";
import { writeAll } from "../../linux/fd.ts";
import { processId } from "../../linux/process.ts";

/** dockerd reads `tini version X - git.SHA`. */
export const VERSION = "tini version 0.19.0 - git.de40ad0";

export const LICENCE = `Gantry's docker-init, a container init with the behaviour of tini.
Licensed under the Apache License, Version 2.0; see http://www.apache.org/licenses/LICENSE-2.0
`;

export const NOT_REAPING = `Tini is not running as PID 1 and isn't registered as a child subreaper.
Zombie processes will not be re-parented to Tini, so zombie reaping won't work.
To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register Tini as a child \
subreaper, or run Tini as PID 1.`;

export function usage(name: string): string {
  return `${name} (${VERSION})
Usage: ${name} [OPTIONS] PROGRAM -- [ARGS] | --version

Execute a program under the supervision of a valid init process (${name})

Command line options:

  --version: Show version and exit.
  -h: Show this help message and exit.
  -s: Register as a process subreaper (requires Linux >= 3.4).
  -p SIGNAL: Trigger SIGNAL when parent dies, e.g. "-p SIGKILL".
  -v: Generate more verbose output. Repeat up to 3 times.
  -w: Print a warning when processes are getting reaped.
  -g: Send signals to the child's process group.
  -e EXIT_CODE: Remap EXIT_CODE (from 0 to 255) to 0.
  -l: Show license and exit.

Environment variables:

  TINI_SUBREAPER: Register as a process subreaper (requires Linux >= 3.4).
  TINI_VERBOSITY: Set the verbosity level (default: 1).
  TINI_KILL_PROCESS_GROUP: Send signals to the child's process group.

`;
}

const LEVELS = ["FATAL", "WARN ", "INFO ", "DEBUG", "TRACE"] as const;

/** A full or closed stderr is no reason for an init to die. */
export function put(fd: 1 | 2, text: string): void {
  try {
    writeAll(fd, door().encode(text));
  } catch {}
}

export class Voice {
  readonly #verbosity: number;

  constructor(verbosity: number) {
    this.#verbosity = verbosity;
  }

  say(level: 0 | 1 | 2 | 3 | 4, text: string): void {
    if (this.#verbosity < level) return;
    put(level < 2 ? 2 : 1, `[${LEVELS[level]} tini (${processId()})] ${text}\n`);
  }
}
