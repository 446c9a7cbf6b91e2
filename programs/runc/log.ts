// runc's log: one line per entry, as text on standard error or, with --log, in a file as text or JSON; whoever calls
// runc reads the last error of that file. An error that ends the program is also said on standard error.

import { quote } from "../../base/flags/go.ts";
import { formatTime, wallNanoseconds } from "../../linux/clock.ts";
import { door } from "../../linux/door.ts";
import { type Fd, O_APPEND, O_CREAT, O_WRONLY, open, writeAll } from "../../linux/fd.ts";

type Level = "debug" | "info" | "warning" | "error";

export class Log {
  readonly #json: boolean;
  readonly #debug: boolean;
  readonly #file: Fd | null;

  /** `path` "" is standard error. */
  constructor(path: string, options: { json: boolean; debug: boolean }) {
    this.#json = options.json;
    this.#debug = options.debug;
    this.#file = path === "" || path === "/dev/stderr" ? null : open(path, O_WRONLY | O_APPEND | O_CREAT, 0o644);
  }

  debug(message: string): void {
    if (this.#debug) this.#put("debug", message);
  }

  /** Who reads what a container's stages say; null when --debug was not given. */
  get stages(): ((message: string) => void) | null {
    return this.#debug ? (message) => this.#put("debug", message) : null;
  }

  warn(message: string): void {
    this.#put("warning", message);
  }

  /** The error that ends the program. */
  fatal(message: string): void {
    this.#put("error", message);
    if (this.#file !== null) writeAll(2, door().encode(`${message}\n`));
  }

  /** What a container says itself, before its program could: as it is, to the one who runs it. */
  plain(message: string): void {
    if (this.#file !== null) this.#put("error", message);
    writeAll(2, door().encode(`${message}\n`));
  }

  #put(level: Level, message: string): void {
    const time = formatTime((wallNanoseconds() / 1_000_000_000n) * 1_000_000_000n);
    const line = this.#json
      ? JSON.stringify({ level, msg: message, time })
      : `time=${quote(time)} level=${level} msg=${quote(message)}`;
    writeAll(this.#file?.number ?? 2, door().encode(`${line}\n`));
  }
}
