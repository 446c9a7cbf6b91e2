// Command lines as the originals read them, in two dialects. "pflag" (docker, dockerd, containerd's helpers): --name,
// -n, clusters such as -it, flags after arguments unless switched off. "go" (ctr and runc through urfave/cli, the shim,
// docker-proxy): one or two dashes mean the same, aliases are full names, the first argument ends the flags.
//
//     const flags = new FlagSet("pflag");
//     const all = flags.bool("all", "a", "Show all");
//     const rest = flags.parse(args);      // throws FlagError with the original's words, or HelpRequested
//     if (all.value) …

import { Failure, messageOf } from "../errors.ts";
import { BadValue, quote } from "./go.ts";
import { BOOL, DURATION, type FlagKind, INT, listOf, STRING } from "./values.ts";

export type FlagDialect = "pflag" | "go";

export interface Flag<Value> {
  value: Value;
  /** Whether the command line gave it. */
  changed: boolean;
}

export interface FlagOptions {
  /** Not shown in help. */
  hidden?: boolean;
  /** What to tell a user of it; also hides it. */
  deprecated?: string;
}

export interface FlagEntry {
  readonly name: string;
  /** One letter in the pflag dialect; any other name in the go dialect; "" for none. */
  readonly short: string;
  readonly usage: string;
  readonly word: string;
  /** The default as help shows it, "" for none. */
  readonly shown: string;
  readonly options: FlagOptions;
  readonly bare: string | null;
  set(text: string): void;
}

/** A command line that cannot be read; the message is what the original prints. */
export class FlagError extends Failure {
  constructor(message: string) {
    super("invalid_argument", message);
  }
}

/** --help was asked for, and no flag of that name exists. */
export class HelpRequested extends Failure {
  constructor() {
    super("invalid_argument", "help requested");
  }
}

export class FlagSet {
  readonly entries: FlagEntry[] = [];
  /** Told of each deprecated flag in use, as a whole sentence. */
  deprecation: (sentence: string) => void = () => {};
  /** Whether flags may follow arguments: by default in the pflag dialect only. */
  interspersed: boolean;
  readonly #dialect: FlagDialect;
  readonly #byName = new Map<string, FlagEntry>();

  constructor(dialect: FlagDialect) {
    this.#dialect = dialect;
    this.interspersed = dialect === "pflag";
  }

  add<Value>(kind: FlagKind<Value>, names: readonly [string, string], spec: FlagSpec<Value>): Flag<Value> {
    const flag: Flag<Value> = { value: spec.initial, changed: false };
    const [name, short] = names;
    const entry: FlagEntry = {
      name,
      short,
      usage: spec.usage,
      word: kind.word,
      // Only help asks.
      get shown() {
        return kind.show(spec.initial);
      },
      options: spec.options ?? {},
      bare: kind.bare,
      set(text) {
        flag.value = kind.parse(text, flag.value, !flag.changed);
        flag.changed = true;
      },
    };
    this.entries.push(entry);
    this.#byName.set(name, entry);
    if (short !== "") this.#byName.set(this.#dialect === "pflag" ? `-${short}` : short, entry);
    return flag;
  }

  bool(name: string, short: string, usage: string, initial = false): Flag<boolean> {
    return this.add(BOOL, [name, short], { usage, initial });
  }

  string(name: string, short: string, usage: string, initial = ""): Flag<string> {
    return this.add(STRING, [name, short], { usage, initial });
  }

  int(name: string, short: string, usage: string, initial = 0): Flag<number> {
    return this.add(INT, [name, short], { usage, initial });
  }

  /** Nanoseconds. */
  duration(name: string, short: string, usage: string, initial = 0): Flag<number> {
    return this.add(DURATION, [name, short], { usage, initial });
  }

  list(name: string, short: string, usage: string): Flag<string[]> {
    return this.add(listOf(), [name, short], { usage, initial: [] });
  }

  /** The arguments that are no flags. */
  parse(args: readonly string[]): string[] {
    const rest: string[] = [];
    const queue = [...args];
    while (queue.length > 0) {
      const arg = queue.shift()!;
      if (arg === "--") return [...rest, ...queue];
      if (arg === "-" || !arg.startsWith("-")) {
        rest.push(arg);
        if (this.interspersed) continue;
        return [...rest, ...queue];
      }
      if (this.#dialect === "go") this.#parseGo(arg, queue);
      else if (arg.startsWith("--")) this.#parseLong(arg, queue);
      else this.#parseCluster(arg.slice(1), queue);
    }
    return rest;
  }

  #parseLong(arg: string, queue: string[]): void {
    const equals = arg.indexOf("=");
    const name = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
    if (name === "" || name.startsWith("-")) throw new FlagError(`bad flag syntax: ${arg}`);
    const entry = this.#byName.get(name);
    if (entry === undefined || entry.name !== name) {
      if (name === "help") throw new HelpRequested();
      throw new FlagError(`unknown flag: --${name}`);
    }
    let text = equals < 0 ? entry.bare : arg.slice(equals + 1);
    if (text === null) {
      if (queue.length === 0) throw new FlagError(`flag needs an argument: ${arg}`);
      text = queue.shift()!;
    }
    this.#set(entry, text);
  }

  #parseCluster(cluster: string, queue: string[]): void {
    let letters = cluster;
    while (letters !== "") {
      const letter = String.fromCodePoint(letters.codePointAt(0)!);
      const entry = this.#byName.get(`-${letter}`);
      if (entry === undefined) {
        if (letter === "h") throw new HelpRequested();
        throw new FlagError(`unknown shorthand flag: ${singleQuote(letter)} in -${letters}`);
      }
      const rest = letters.slice(letter.length);
      if (rest.length > 1 && rest[0] === "=") {
        this.#set(entry, rest.slice(1));
        return;
      }
      if (entry.bare !== null) {
        this.#set(entry, entry.bare);
        letters = rest;
        continue;
      }
      if (rest === "" && queue.length === 0) {
        throw new FlagError(`flag needs an argument: ${singleQuote(letter)} in -${letters}`);
      }
      this.#set(entry, rest === "" ? queue.shift()! : rest);
      return;
    }
  }

  #parseGo(arg: string, queue: string[]): void {
    const stripped = arg.slice(arg.startsWith("--") ? 2 : 1);
    if (stripped === "" || stripped.startsWith("-") || stripped.startsWith("=")) {
      throw new FlagError(`bad flag syntax: ${arg}`);
    }
    const equals = stripped.indexOf("=");
    const name = equals < 0 ? stripped : stripped.slice(0, equals);
    const entry = this.#byName.get(name);
    if (entry === undefined) {
      if (name === "help" || name === "h") throw new HelpRequested();
      throw new FlagError(`flag provided but not defined: -${name}`);
    }
    let text = equals < 0 ? entry.bare : stripped.slice(equals + 1);
    if (text === null) {
      if (queue.length === 0) throw new FlagError(`flag needs an argument: -${name}`);
      text = queue.shift()!;
    }
    try {
      entry.set(text);
    } catch (thrown) {
      if (!(thrown instanceof BadValue)) throw thrown;
      const kind = entry.bare === null ? `value ${quote(text)} for flag` : `boolean value ${quote(text)} for`;
      throw new FlagError(`invalid ${kind} -${name}: ${goReason(thrown)}`);
    }
  }

  #set(entry: FlagEntry, text: string): void {
    try {
      entry.set(text);
    } catch (thrown) {
      if (!(thrown instanceof BadValue)) throw thrown;
      const name = entry.short === "" ? `--${entry.name}` : `-${entry.short}, --${entry.name}`;
      throw new FlagError(`invalid argument ${quote(text)} for ${quote(name)} flag: ${messageOf(thrown)}`);
    }
    const { deprecated } = entry.options;
    if (deprecated !== undefined) this.deprecation(`Flag --${entry.name} has been deprecated, ${deprecated}`);
  }
}

export interface FlagSpec<Value> {
  usage: string;
  initial: Value;
  options?: FlagOptions;
}

/** Go's flag package shortens strconv's complaints. */
function goReason(thrown: BadValue): string {
  if (thrown.message.startsWith("time:")) return "parse error";
  if (!thrown.message.startsWith("strconv.")) return thrown.message;
  return thrown.message.endsWith("value out of range") ? "value out of range" : "parse error";
}

function singleQuote(letter: string): string {
  if (letter === "'" || letter === "\\") return `'\\${letter}'`;
  const quoted = quote(letter);
  return letter === '"' ? `'"'` : `'${quoted.slice(1, -1)}'`;
}
