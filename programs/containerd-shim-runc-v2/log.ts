// What the shim says about itself: lines in the FIFO `log` of the bundle, which the daemon copies into its own log.
// The FIFO is held open at both ends, so that a daemon may come and go; when nobody reads and it is full, lines are
// lost.

import { encodeUtf8 } from "../../base/bytes.ts";
import { formatTime, wallNanoseconds } from "../../linux/clock.ts";
import { type Fd, O_NONBLOCK, O_RDWR, open, S_IFIFO, S_IFMT, statFd, write } from "../../linux/fd.ts";
import { LOG_LINE_LIMIT } from "./limits.ts";

export type Level = "debug" | "info" | "warning" | "error";

export class Log {
  readonly #fd: Fd | null;
  readonly #debug: boolean;

  constructor(fd: Fd | null, debug: boolean) {
    this.#fd = fd;
    this.#debug = debug;
  }

  /** `path` is used only if it is a FIFO. */
  static open(path: string, debug: boolean): Log {
    try {
      const fd = open(path, O_RDWR | O_NONBLOCK);
      if ((statFd(fd.number).mode & S_IFMT) === S_IFIFO) return new Log(fd, debug);
      fd.close();
    } catch {
      // A shim without a log still serves.
    }
    return new Log(null, debug);
  }

  say(level: Level, message: string): void {
    if (this.#fd === null || (level === "debug" && !this.#debug)) return;
    const quoted = JSON.stringify(message.slice(0, LOG_LINE_LIMIT));
    try {
      write(this.#fd.number, encodeUtf8(`time="${formatTime(wallNanoseconds())}" level=${level} msg=${quoted}\n`));
    } catch {
      // There is nowhere left to complain to.
    }
  }
}
