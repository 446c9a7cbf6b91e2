// Reads texts as Go's strconv and time packages read them, with their wording of errors, because command lines of the
// originals are scripted against and their complaints are compared.

/** What is wrong with a value, in Go's words. The flag parser puts the flag's name around it. */
export class BadValue extends Error {}

const TRUE = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE = ["0", "f", "F", "FALSE", "false", "False"];

export function parseGoBool(text: string): boolean {
  if (TRUE.includes(text)) return true;
  if (FALSE.includes(text)) return false;
  throw new BadValue(`strconv.ParseBool: parsing ${quote(text)}: invalid syntax`);
}

/** strconv.ParseInt with base 0 (prefixes 0x, 0o, 0b and underscores allowed) into `bits`; exact up to 2^53. */
export function parseGoInt(text: string, bits = 64): number {
  return parseInteger(text, "ParseInt", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1);
}

export function parseGoUint(text: string, bits = 64): number {
  if (/^[+-]/.test(text)) throw new BadValue(`strconv.ParseUint: parsing ${quote(text)}: invalid syntax`);
  return parseInteger(text, "ParseUint", 0, 2 ** bits - 1);
}

/** Base 10 only, as strconv.Atoi. */
export function parseGoDecimal(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new BadValue(`strconv.Atoi: parsing ${quote(text)}: invalid syntax`);
  return Number(text);
}

const HEX = "0[xX]_?[0-9a-fA-F](?:_?[0-9a-fA-F])*";
const BINARY = "0[bB]_?[01](?:_?[01])*";
const OCTAL = "0[oO]?_?[0-7](?:_?[0-7])*";
const INTEGER = new RegExp(`^([+-]?)(${HEX}|${BINARY}|${OCTAL}|0|[1-9](?:_?\\d)*)$`);

function parseInteger(text: string, call: string, least: number, most: number): number {
  const match = INTEGER.exec(text);
  if (match === null) throw new BadValue(`strconv.${call}: parsing ${quote(text)}: invalid syntax`);
  const digits = match[2]!.replace(/_/g, "");
  const octal = /^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits;
  const value = Number(octal) * (match[1] === "-" ? -1 : 1);
  if (value < least || value > most) throw new BadValue(`strconv.${call}: parsing ${quote(text)}: value out of range`);
  return value === 0 ? 0 : value;
}

export function parseGoFloat(text: string): number {
  if (!/^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$/.test(text)) {
    throw new BadValue(`strconv.ParseFloat: parsing ${quote(text)}: invalid syntax`);
  }
  return Number(text);
}

const NANOSECONDS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** time.ParseDuration, in nanoseconds. */
export function parseGoDuration(text: string): number {
  const invalid = () => new BadValue(`time: invalid duration ${quote(text)}`);
  const sign = text.startsWith("-") ? -1 : 1;
  let rest = text.replace(/^[+-]/, "");
  if (rest === "0") return 0;
  if (rest === "") throw invalid();
  let total = 0;
  while (rest !== "") {
    const match = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest);
    if (match === null) throw invalid();
    const unit = match[2]!;
    if (unit === "") throw new BadValue(`time: missing unit in duration ${quote(text)}`);
    const scale = NANOSECONDS[unit];
    if (scale === undefined) throw new BadValue(`time: unknown unit ${quote(unit)} in duration ${quote(text)}`);
    total += Number(match[1]) * scale;
    rest = rest.slice(match[0].length);
  }
  if (total > 2 ** 63 - 1) throw invalid();
  return sign * Math.round(total);
}

/** time.Duration.String(). */
export function formatGoDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return "0s";
  const sign = nanoseconds < 0 ? "-" : "";
  const n = Math.abs(nanoseconds);
  if (n < 1e3) return `${sign}${n}ns`;
  if (n < 1e6) return `${sign}${trim(n / 1e3)}µs`;
  if (n < 1e9) return `${sign}${trim(n / 1e6)}ms`;
  const hours = Math.floor(n / 3600e9);
  const minutes = Math.floor((n % 3600e9) / 60e9);
  const seconds = trim((n % 60e9) / 1e9);
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`;
}

function trim(value: number): string {
  return String(Number(value.toFixed(9)));
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** Go's %q of a string. */
export function quote(text: string): string {
  let quoted = "";
  for (const letter of text) {
    const code = letter.codePointAt(0)!;
    if (letter === '"' || letter === "\\") quoted += `\\${letter}`;
    else if (ESCAPES[letter] !== undefined) quoted += ESCAPES[letter];
    else if (code >= 0xdc80 && code <= 0xdcff) quoted += `\\x${(code - 0xdc00).toString(16)}`;
    else if (code < 0x20 || code === 0x7f) quoted += `\\x${code < 16 ? "0" : ""}${code.toString(16)}`;
    else quoted += letter;
  }
  return `"${quoted}"`;
}
