// Words of a Go template: text, and inside {{ }} the tokens of actions. Positions are offsets into the template,
// because complaints name line and column.

import { quote } from "../flags/go.ts";

export interface Token {
  kind:
    | "text"
    | "open"
    | "close"
    | "field"
    | "variable"
    | "word"
    | "string"
    | "number"
    | "char"
    | "dot"
    | "pipe"
    | "paren"
    | "assign"
    | "declare"
    | "comma"
    | "space"
    | "end";
  text: string;
  at: number;
}

/** A template that cannot be read or executed; the message begins with "template: ". */
export class TemplateError extends Error {}

export function lineOf(template: string, at: number): number {
  return template.slice(0, at).split("\n").length;
}

export function parseFailure(template: string, at: number, words: string): TemplateError {
  return new TemplateError(`template: :${lineOf(template, at)}: ${words}`);
}

export function tokenize(template: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  while (at < template.length) {
    const open = template.indexOf("{{", at);
    let text = open < 0 ? template.slice(at) : template.slice(at, open);
    if (trimNext) text = text.replace(/^[ \t\r\n]+/, "");
    if (open < 0) {
      if (text !== "") tokens.push({ kind: "text", text, at });
      break;
    }
    const trimsLeft = /^\{\{-[ \t\r\n]/.test(template.slice(open, open + 4));
    if (trimsLeft) text = text.replace(/[ \t\r\n]+$/, "");
    if (text !== "") tokens.push({ kind: "text", text, at });
    const inner = open + (trimsLeft ? 3 : 2);
    const comment = skipComment(template, inner);
    const end = comment ?? readAction(template, inner, tokens);
    trimNext = template[end - 1] === "-" && /[ \t\r\n]/.test(template[end - 2] ?? "");
    at = end + 2;
  }
  tokens.push({ kind: "end", text: "", at: template.length });
  return tokens;
}

/** The offset of the closing braces when this action is a comment. */
function skipComment(template: string, inner: number): number | null {
  const match = /^[ \t\r\n]*\/\*/.exec(template.slice(inner));
  if (match === null) return null;
  const close = template.indexOf("*/", inner + match[0].length);
  if (close < 0) throw parseFailure(template, inner, "unclosed comment");
  const end = /^(?:[ \t\r\n]+-)?\}\}/.exec(template.slice(close + 2));
  if (end === null) throw parseFailure(template, inner, "comment ends before closing delimiter");
  return close + end[0].length;
}

const PATTERNS: readonly (readonly [Token["kind"], RegExp])[] = [
  ["space", /[ \t\r\n]+/y],
  ["string", /"(?:[^"\\\n]|\\.)*"|`[^`]*`/y],
  ["char", /'(?:[^'\\\n]|\\.)[^']*'/y],
  ["declare", /:=/y],
  ["assign", /=/y],
  ["pipe", /\|/y],
  ["comma", /,/y],
  ["paren", /[()]/y],
  ["number", /[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)/y],
  ["field", /\.[\p{L}_][\p{L}\p{N}_]*/uy],
  ["dot", /\./y],
  ["variable", /\$(?:[\p{L}_][\p{L}\p{N}_]*)?/uy],
  ["word", /[\p{L}_][\p{L}\p{N}_]*/uy],
];

/** Adds the tokens of one action; gives the offset of its closing braces. */
function readAction(template: string, inner: number, tokens: Token[]): number {
  tokens.push({ kind: "open", text: "{{", at: inner - 2 });
  let at = inner;
  for (;;) {
    const rest = template.slice(at, at + 4);
    if (rest.startsWith("}}") || /^[ \t\r\n]-\}\}/.test(rest)) {
      const close = rest.startsWith("}}") ? at : at + 2;
      tokens.push({ kind: "close", text: "}}", at: close });
      return close;
    }
    if (at >= template.length) throw parseFailure(template, at, "unclosed action");
    const token = match(template, at);
    if (token === null) throw unreadable(template, at);
    tokens.push(token);
    at += token.text.length;
  }
}

function match(template: string, at: number): Token | null {
  for (const [kind, pattern] of PATTERNS) {
    pattern.lastIndex = at;
    const found = pattern.exec(template);
    if (found !== null) return { kind, text: found[0], at };
  }
  return null;
}

function unreadable(template: string, at: number): TemplateError {
  const letter = template[at]!;
  if (letter === '"') return parseFailure(template, at, "unterminated quoted string");
  if (letter === "`") return parseFailure(template, at, "unterminated raw quoted string");
  if (letter === "\n") return parseFailure(template, at, "unclosed action");
  if (letter === "{" || letter === "}") return parseFailure(template, at, `unexpected ${quote(letter)} in operand`);
  const code = letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0");
  return parseFailure(template, at, `unrecognized character in action: U+${code} '${letter}'`);
}
