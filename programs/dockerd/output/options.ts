// What --log-driver and --log-opt say: names are checked when a container is created, values when it is started, in the
// original's words; and the attributes that labels, env and tag ask for.

import { join } from "node:path";
import { Failure } from "../../../base/errors.ts";
import { decimalBytes, ramBytes } from "../config/size.ts";
import type { ContainerRecord } from "../containers/record.ts";
import type { LogFormat } from "./entry.ts";
import { JsonFormat } from "./jsonfile.ts";
import { LocalFormat } from "./localfile.ts";
import { tagOf } from "./tag.ts";

type Options = Readonly<Record<string, string>>;

/** Bounds when nobody sets any: bytes of a file and number of files. */
export const DEFAULT_MAX_SIZE = 20 * 1024 * 1024;
export const DEFAULT_MAX_FILE = 5;

const FILE_OPTIONS = ["max-size", "max-file", "compress", "labels", "labels-regex", "env", "env-regex", "tag"];
/** Of the original's, those that are not here yet. */
const MISSING = ["syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "logentries"];

export interface LogSettings {
  driver: "json-file" | "local";
  /** Bytes; null for no limit. */
  maxSize: number | null;
  maxFile: number;
  /** Rotated files are compressed. */
  compress: boolean;
}

/** The names of a driver and its options. */
export function checkLogOptions(driver: string, options: Options): void {
  if (driver === "none") return;
  const mode = options["mode"] ?? "";
  if (!["", "blocking", "non-blocking"].includes(mode)) throw bad(`logger: logging mode not supported: ${mode}`);
  if (options["max-buffer-size"] !== undefined) {
    if (mode !== "non-blocking") {
      throw bad("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    }
    within("error parsing option max-buffer-size", () => bufferBytes(options["max-buffer-size"]!));
  }
  if (MISSING.includes(driver)) {
    throw new Failure("unimplemented", `the log driver '${driver}' is not there yet; use json-file, local or none`);
  }
  if (driver !== "json-file" && driver !== "local") throw bad(`logger: no log driver named '${driver}' is registered`);
  for (const name of Object.keys(options)) {
    if ([...FILE_OPTIONS, "mode", "max-buffer-size"].includes(name)) continue;
    const what = driver === "local" ? "log driver local" : "json-file log driver";
    throw bad(`unknown log opt '${name}' for ${what}`);
  }
}

/** Null for a driver that keeps nothing. */
export function readLogSettings(driver: string, options: Options): LogSettings | null {
  try {
    if (driver === "json-file") return readJsonFile(options);
    return driver === "local" ? readLocal(options) : null;
  } catch (thrown) {
    throw bad(`failed to initialize logging driver: ${(thrown as Error).message}`);
  }
}

/** A size alone means one file, as in the original; nothing at all means our bounds. */
function readJsonFile(options: Options): LogSettings {
  const [size, files] = [options["max-size"], options["max-file"]];
  let maxSize: number | null = DEFAULT_MAX_SIZE;
  if (size === "-1") maxSize = null;
  else if (size !== undefined) maxSize = decimalBytes(size);
  if (maxSize !== null && maxSize <= 0) throw bad("max-size must be a positive number");
  const maxFile = files === undefined ? (size === undefined ? DEFAULT_MAX_FILE : 1) : integer(files);
  if (maxFile < 1) throw bad("max-file cannot be less than 1");
  const compress = boolean(options["compress"] ?? "false");
  if (compress && (maxFile === 1 || maxSize === null)) {
    throw bad("compress cannot be true when max-file is less than 2 or max-size is not set");
  }
  return { driver: "json-file", maxSize, maxFile, compress };
}

function readLocal(options: Options): LogSettings {
  const [size, files, compressed] = [options["max-size"], options["max-file"], options["compress"]];
  let maxSize: number | null = DEFAULT_MAX_SIZE;
  if (size !== undefined) maxSize = within(`invalid value for max-size: ${size}`, () => decimalBytes(size));
  // The original rotates before every record then; one record in a file is what comes of it.
  if (maxSize === 0) maxSize = 1;
  let maxFile = DEFAULT_MAX_FILE;
  if (files !== undefined) maxFile = within(`invalid value for max-file: ${files}`, () => integer(files));
  if (maxFile < 0) throw bad("max-file must not be negative");
  const compress = compressed === undefined || within("invalid boolean value for compress", () => boolean(compressed));
  if (compress && maxFile <= 1) throw bad("compression cannot be enabled when max file count is 1");
  return { driver: "local", maxSize, maxFile: Math.max(1, maxFile), compress };
}

/** The file of a container's log; null when its driver keeps none. */
export function logPathOf(
  dataRoot: string,
  { id, logDriver }: Pick<ContainerRecord, "id" | "logDriver">,
): string | null {
  const folder = join(dataRoot, "containers", id);
  if (logDriver === "json-file") return join(folder, `${id}-json.log`);
  return logDriver === "local" ? join(folder, "local-logs", "container.log") : null;
}

export function formatOf(driver: LogSettings["driver"], attrs: Readonly<Record<string, string>> = {}): LogFormat {
  return driver === "local" ? new LocalFormat(attrs) : new JsonFormat(attrs);
}

/** What every record is to bear, by the options labels, labels-regex, env, env-regex and tag. */
export function logAttributes(record: ContainerRecord, logPath: string): Record<string, string> {
  const { logOptions: options, config } = record;
  const attrs: Record<string, string> = {};
  const pick = (from: ReadonlyMap<string, string>, names: string, pattern: string) => {
    for (const name of names.split(",")) if (from.has(name)) attrs[name] = from.get(name)!;
    if (pattern === "") return;
    const expression = regularExpression(pattern);
    for (const [name, value] of from) if (expression.test(name)) attrs[name] = value;
  };
  const labels = new Map(Object.entries(config.Labels ?? {}));
  const pairs = (config.Env ?? []).filter((one) => one.includes("="));
  const env = new Map(pairs.map((one) => [one.slice(0, one.indexOf("=")), one.slice(one.indexOf("=") + 1)]));
  pick(labels, options["labels"] ?? "", options["labels-regex"] ?? "");
  pick(env, options["env"] ?? "", options["env-regex"] ?? "");
  const tag = tagOf({ record, logPath, attributes: { ...attrs } });
  if (tag !== "") attrs["tag"] = tag;
  return Object.fromEntries(Object.entries(attrs).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function regularExpression(pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (thrown) {
    const reason = (thrown as Error).message;
    throw bad(`failed to initialize logging driver: error parsing regexp: ${reason}`, thrown);
  }
}

/** Read as the original reads it, and of no use: who writes the log here keeps no queue (docs/decisions/0010). */
function bufferBytes(text: string): number {
  const size = ramBytes(text);
  if (size === null) throw bad(`invalid size: '${text}'`);
  return size;
}

function integer(text: string): number {
  if (!/^[+-]?\d{1,9}$/.test(text)) throw bad(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

function boolean(text: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw bad(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

function within<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (thrown) {
    throw bad(`${what}: ${(thrown as Error).message}`, thrown);
  }
}

function bad(message: string, cause?: unknown): Failure {
  return new Failure("invalid_argument", message, cause === undefined ? {} : { cause });
}
