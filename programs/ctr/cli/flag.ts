// What a command says about its flags, as data: read by the parser (parse.ts) and by help (help.ts).

export type FlagType = "bool" | "string" | "int" | "uint" | "float" | "duration" | "list";

export interface FlagSpec {
  /** The name, then its alias: "quiet, q". */
  readonly names: string;
  readonly type: FlagType;
  /** A word in back quotes names the value in help. */
  readonly usage: string;
  /** Durations in nanoseconds. */
  readonly initial?: string | number;
  /** Variables that give it a value when the command line does not. */
  readonly env?: string;
  readonly required?: boolean;
}

type More = Omit<FlagSpec, "names" | "type" | "usage">;

const of =
  (type: FlagType) =>
  (names: string, usage: string, more: More = {}): FlagSpec => ({ names, type, usage, ...more });

export const bool = of("bool");
export const text = of("string");
export const int = of("int");
export const uint = of("uint");
export const float = of("float");
export const duration = of("duration");
export const list = of("list");

/** ["quiet", "q"], or one name and "". */
export function namesOf(flag: FlagSpec): [string, string] {
  const [name, alias] = flag.names.split(", ");
  return [name!, alias ?? ""];
}
