// From a command line to the command that runs: global flags, the group, the command, its flags, its arguments; with
// the original library's answers to what it cannot read (help on stdout, the complaint on stderr, exit code 1, or 3 for
// a command nobody knows).

import { messageOf } from "../../../base/errors.ts";
import { type Flag, FlagError, FlagSet, HelpRequested } from "../../../base/flags/flagset.ts";
import { FLOAT, listOf, UINT } from "../../../base/flags/values.ts";
import type { Command, TopCommand } from "./command.ts";
import { type FlagSpec, namesOf } from "./flag.ts";
import { commandHelp, programHelp } from "./help.ts";
import { type FlagValues, type GlobalSettings, Invocation, print } from "./invocation.ts";
import { PACKAGE, VERSION } from "./version.ts";

/** A command nobody knows. */
const UNKNOWN_COMMAND = 3;

export interface Program {
  readonly flags: readonly FlagSpec[];
  readonly commands: readonly TopCommand[];
  /** Reads the settings every command has. */
  readonly globals: (values: FlagValues) => GlobalSettings;
}

/** The command to run, or the exit code when the answer is given already. Throws FlagError for what was reported. */
export async function parseProgram(program: Program, args: readonly string[]): Promise<Invoke | number> {
  const flags = [...program.flags, VERSION_FLAG];
  const help = () => print(programHelp(program.commands, program.flags));
  const { values, rest } = parseFlags(flags, args, { help, complaint: "Incorrect Usage." });
  if (values === null) return 0;
  if (values.get("version")!.value === true) {
    print(`ctr ${PACKAGE} ${VERSION}\n`);
    return 0;
  }
  const [name, ...others] = rest;
  if (name === undefined) {
    help();
    return 0;
  }
  if (name === "help" || name === "h") return programTopic(program, others[0] ?? null, help);
  const top = program.commands.find((one) => one.names.includes(name));
  if (top === undefined) return unknownTopic(name);
  const place: Place = { path: ["ctr", top.names[0]!], global: program.globals(values), outer: new Map() };
  return parseCommand(await top.load(), others, place);
}

const VERSION_FLAG: FlagSpec = { names: "version, v", type: "bool", usage: "" };

export interface Invoke {
  readonly command: Command;
  readonly invocation: Invocation;
}

interface Place {
  path: string[];
  global: GlobalSettings;
  outer: FlagValues;
}

function parseCommand(command: Command, args: readonly string[], place: Place): Invoke | number {
  const { path, global, outer } = place;
  const specs = command.flags ?? [];
  const help = () => print(commandHelp(path.join(" "), command));
  const ordered = command.commands === undefined && command.flagsFirst !== true ? reorder(specs, args) : args;
  const { values, rest } = parseFlags(specs, ordered, { help, complaint: "Incorrect Usage:" });
  if (values === null) return 0;
  if (command.commands === undefined) {
    for (const spec of specs) {
      const [name] = namesOf(spec);
      if (spec.required !== true || values.get(name)!.changed) continue;
      help();
      throw new FlagError(`Required flag "${name}" not set`);
    }
    return { command, invocation: new Invocation({ args: rest, global, path, command, values, outer }) };
  }
  const [name, ...others] = rest;
  if (name === undefined || name === "help" || name === "h") {
    help();
    return 0;
  }
  const inner = command.commands.find((one) => one.names.includes(name));
  if (inner === undefined) return unknownTopic(name);
  return parseCommand(inner, others, { path: [...path, inner.names[0]!], global, outer: values });
}

async function programTopic(program: Program, topic: string | null, help: () => void): Promise<number> {
  if (topic === null) {
    help();
    return 0;
  }
  const top = program.commands.find((one) => one.names.includes(topic));
  if (top === undefined) return unknownTopic(topic);
  print(commandHelp(`ctr ${top.names[0]}`, await top.load()));
  return 0;
}

function unknownTopic(name: string): number {
  process.stderr.write(`No help topic for '${name}'\n`);
  return UNKNOWN_COMMAND;
}

interface Parsed {
  /** Null when help was asked for and given. */
  values: FlagValues | null;
  rest: string[];
}

function parseFlags(
  specs: readonly FlagSpec[],
  args: readonly string[],
  on: { help: () => void; complaint: string },
): Parsed {
  const flags = new FlagSet("go");
  const values = new Map(specs.map((spec): [string, Flag<unknown>] => [namesOf(spec)[0], declare(flags, spec)]));
  try {
    for (const spec of specs) setFromEnvironment(flags, spec);
    return { rest: flags.parse(args), values };
  } catch (thrown) {
    if (thrown instanceof HelpRequested) {
      on.help();
      return { rest: [], values: null };
    }
    if (thrown instanceof FlagError) {
      print(`${on.complaint} ${messageOf(thrown)}\n\n`);
      on.help();
    }
    throw thrown;
  }
}

function declare(flags: FlagSet, spec: FlagSpec): Flag<unknown> {
  const [name, alias] = namesOf(spec);
  const { type, usage, initial } = spec;
  if (type === "bool") return flags.bool(name, alias, usage);
  if (type === "string") return flags.string(name, alias, usage, String(initial ?? ""));
  if (type === "list") return flags.add(listOf(), [name, alias], { usage, initial: [] });
  const number = Number(initial ?? 0);
  if (type === "int") return flags.int(name, alias, usage, number);
  if (type === "duration") return flags.duration(name, alias, usage, number);
  return flags.add(type === "uint" ? UINT : FLOAT, [name, alias], { usage, initial: number });
}

function setFromEnvironment(flags: FlagSet, spec: FlagSpec): void {
  const value = spec.env === undefined ? undefined : process.env[spec.env];
  if (value === undefined || value === "") return;
  flags.entries.find((entry) => entry.name === namesOf(spec)[0])!.set(value);
}

/** Known flags before arguments, each with the word behind it unless that is a flag, too; "--" ends it. The original
 *  takes that word even for a switch. */
function reorder(specs: readonly FlagSpec[], args: readonly string[]): string[] {
  const known = new Set(specs.flatMap((spec) => namesOf(spec)).filter((name) => name !== ""));
  const isFlag = (arg: string) => arg.startsWith("-") && known.has(arg.replace(/^--?/, "").split("=", 1)[0]!);
  const [first, last]: [string[], string[]] = [[], []];
  let value = false;
  for (const [index, arg] of args.entries()) {
    if (arg === "--") {
      last.push(...args.slice(index));
      break;
    }
    if (value && !arg.startsWith("-")) {
      value = false;
      first.push(arg);
    } else if (isFlag(arg)) {
      first.push(arg);
      value = !arg.includes("=");
    } else last.push(arg);
  }
  return [...first, ...last];
}
