// docker-init's command line and environment, as tini reads them. Options may stand anywhere before `--` (getopt's
// permutation), which is why a program's own options come after `--`; POSIXLY_CORRECT ends options at the program.

import { SIGNAL_NAMES } from "../../linux/signal.ts";
import { LICENCE, put, usage, VERSION, Voice } from "./messages.ts";

export interface Options {
  command: string[];
  subreaper: boolean;
  /** Signal for us when the parent dies; 0 for none. */
  parentDeath: number;
  verbosity: number;
  warnOnReap: boolean;
  toGroup: boolean;
  /** Exit codes of the child that become 0. */
  expected: Set<number>;
}

const WITH_VALUE = "pe";
/** tini's -p knows these names only, and no numbers. */
const NO_PARENT_DEATH = new Set(["SIGSTKFLT", "SIGIO", "SIGPWR"]);

/** The options, or the exit code when there is nothing to run. */
export function readOptions(args: readonly string[], env: readonly string[]): Options | number {
  const name = (args[0] ?? "tini").replace(/^.*\//, "");
  if (args.length === 2 && args[1] === "--version") {
    put(1, `${VERSION}\n`);
    return 0;
  }
  const options = fromEnvironment(env);
  const parsed = splitArguments(args.slice(1), env);
  for (const [letter, value] of parsed.options) {
    const ended = apply(options, letter, { value, name, called: args[0] ?? name });
    if (ended !== null) return ended;
  }
  options.command = parsed.command;
  if (options.command.length > 0) return options;
  put(2, usage(name));
  return 1;
}

function fromEnvironment(env: readonly string[]): Options {
  const has = (name: string) => env.some((entry) => entry.startsWith(`${name}=`));
  const verbosity = env.find((entry) => entry.startsWith("TINI_VERBOSITY="))?.slice("TINI_VERBOSITY=".length);
  return {
    command: [],
    subreaper: has("TINI_SUBREAPER"),
    parentDeath: 0,
    // What is no number counts as 0, as atoi has it.
    verbosity: verbosity === undefined ? 1 : Number(/^\s*[+-]?\d+/.exec(verbosity)?.[0] ?? 0),
    warnOnReap: false,
    toGroup: has("TINI_KILL_PROCESS_GROUP"),
    expected: new Set(),
  };
}

/** Letters in order with their values; null where a value is wanted and missing. */
interface Split {
  options: [letter: string, value: string | null][];
  command: string[];
}

function splitArguments(args: readonly string[], env: readonly string[]): Split {
  const strict = env.some((entry) => entry.startsWith("POSIXLY_CORRECT="));
  const split: Split = { options: [], command: [] };
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (word === "--") return { ...split, command: [...split.command, ...args.slice(at + 1)] };
    if (word.length < 2 || word[0] !== "-") {
      if (strict) return { ...split, command: args.slice(at) };
      split.command.push(word);
      continue;
    }
    for (let letter = 1; letter < word.length; letter++) {
      if (!WITH_VALUE.includes(word[letter]!)) {
        split.options.push([word[letter]!, null]);
        continue;
      }
      const rest = word.slice(letter + 1);
      split.options.push([word[letter]!, rest === "" ? (args[++at] ?? null) : rest]);
      break;
    }
  }
  return split;
}

/** Null to go on, else the exit code. */
function apply(
  options: Options,
  letter: string,
  given: { value: string | null; name: string; called: string },
): number | null {
  if (letter === "h") {
    put(1, usage(given.name));
    return 0;
  }
  if (letter === "l") {
    put(1, LICENCE);
    return 0;
  }
  if (letter === "s") options.subreaper = true;
  else if (letter === "v") options.verbosity++;
  else if (letter === "w") options.warnOnReap = true;
  else if (letter === "g") options.toGroup = true;
  else if (WITH_VALUE.includes(letter) && given.value !== null) return applyValue(options, letter, given.value);
  else {
    const what = WITH_VALUE.includes(letter) ? "option requires an argument" : "invalid option";
    put(2, `${given.called}: ${what} -- '${letter}'\n${usage(given.name)}`);
    return 1;
  }
  return null;
}

function applyValue(options: Options, letter: string, value: string): number | null {
  const signal = NO_PARENT_DEATH.has(value) ? -1 : (SIGNAL_NAMES as readonly string[]).indexOf(value);
  const isCode = /^\d{1,3}$/.test(value) && Number(value) <= 255;
  if (letter === "p" && signal > 0) options.parentDeath = signal;
  else if (letter === "e" && isCode) options.expected.add(Number(value));
  else {
    new Voice(options.verbosity).say(0, `Not a valid option for -${letter}: ${value}`);
    return 1;
  }
  return null;
}
