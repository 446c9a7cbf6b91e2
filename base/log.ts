// Log lines as containerd and dockerd write them (logrus' text form), so that people's filters keep working:
//
//     time="2026-01-02T03:04:05.123456789Z" level=info msg="…" id=abc
//
// The sink and the time come from the program; nothing is read at import.

export type LogLevel = "trace" | "debug" | "info" | "warning" | "error" | "fatal";

const ORDER: readonly LogLevel[] = ["trace", "debug", "info", "warning", "error", "fatal"];
const PLAIN = /^[A-Za-z0-9\-._/@^+]+$/;

export type LogFields = Readonly<Record<string, string | number | boolean>>;

export class Logger {
  level: LogLevel;
  private readonly write: (line: string) => void;
  private readonly now: () => string;

  /** `now` gives RFC 3339 time. */
  constructor(level: LogLevel, write: (line: string) => void, now: () => string) {
    this.level = level;
    this.write = write;
    this.now = now;
  }

  debug(message: string, fields: LogFields = {}): void {
    this.log("debug", message, fields);
  }

  info(message: string, fields: LogFields = {}): void {
    this.log("info", message, fields);
  }

  warn(message: string, fields: LogFields = {}): void {
    this.log("warning", message, fields);
  }

  error(message: string, fields: LogFields = {}): void {
    this.log("error", message, fields);
  }

  log(level: LogLevel, message: string, fields: LogFields): void {
    if (ORDER.indexOf(level) < ORDER.indexOf(this.level)) return;
    const extra = Object.entries(fields).map(([key, value]) => ` ${key}=${quoted(String(value))}`);
    this.write(`time=${JSON.stringify(this.now())} level=${level} msg=${quoted(message)}${extra.join("")}\n`);
  }
}

/** The level of a word on a command line, "warn" included; null when there is none such. */
export function parseLogLevel(word: string): LogLevel | null {
  const level = word.toLowerCase() === "warn" ? "warning" : word.toLowerCase();
  return ORDER.find((known) => known === level) ?? null;
}

function quoted(text: string): string {
  return PLAIN.test(text) ? text : JSON.stringify(text);
}
