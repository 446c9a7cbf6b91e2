// JSON whose integers are exact: an integer literal of sixteen or more digits is read as a bigint, because an rlimit,
// a seccomp argument or a memory limit may be any 64-bit number and JSON.parse would round it silently.
// A bigint is written back as a plain integer literal. Objects keep the order of their keys.

export type Json = null | boolean | number | bigint | string | Json[] | { [key: string]: Json };

const LONG_INTEGER = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/gs;
const MARK = "\u0001integer:";

const LONG = 16;

/** Whether there are so many digits in a row. Each such row has a digit at a multiple of its length, so that one
 *  character in sixteen is looked at: an expression that looks at each takes longer than JSON.parse. */
function hasLongInteger(text: string): boolean {
  for (let at = LONG - 1; at < text.length; at += LONG) {
    if (!isDigit(text, at)) continue;
    let [start, end] = [at, at + 1];
    while (isDigit(text, start - 1)) start--;
    while (isDigit(text, end)) end++;
    if (end - start >= LONG) return true;
  }
  return false;
}

function isDigit(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 48 && code <= 57;
}

/** Throws SyntaxError on malformed text, as JSON.parse does. */
export function parseJson(text: string): Json {
  if (!hasLongInteger(text)) return JSON.parse(text) as Json;
  const marked = text.replace(LONG_INTEGER, (token) => (token[0] === '"' ? token : `"\\u0001integer:${token}"`));
  return JSON.parse(marked, (_key, value: unknown) =>
    typeof value === "string" && value.startsWith(MARK) ? exactInteger(value.slice(MARK.length)) : value,
  ) as Json;
}

export function formatJson(value: unknown, indent: number | string = 0): string {
  // Without a function called for each value it takes a third of the time, and long integers are rare.
  try {
    return JSON.stringify(value, null, indent);
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    return formatExactly(value, indent);
  }
}

function formatExactly(value: unknown, indent: number | string): string {
  let long = false;
  const text = JSON.stringify(
    value,
    (_key, part: unknown) => {
      if (typeof part !== "bigint") return part;
      long = true;
      return `${MARK}${part}`;
    },
    indent,
  );
  return long ? text.replace(/"\\u0001integer:(-?\d+)"/g, "$1") : text;
}

function exactInteger(digits: string): number | bigint {
  const near = Number(digits);
  return Number.isSafeInteger(near) ? near : BigInt(digits);
}
