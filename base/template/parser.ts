// A Go template as a tree: text, outputs, and the blocks if, with and range.

import { quote } from "../flags/go.ts";
import { lineOf, parseFailure, TemplateError, type Token, tokenize } from "./lexer.ts";

export type Operand =
  | { kind: "dot"; at: number; source: string }
  | { kind: "nil"; at: number; source: string }
  | { kind: "literal"; value: unknown; at: number; source: string }
  | { kind: "field"; names: string[]; at: number; source: string }
  | { kind: "variable"; name: string; names: string[]; at: number; source: string }
  | { kind: "function"; name: string; at: number; source: string }
  | { kind: "group"; pipeline: Pipeline; names: string[]; at: number; source: string };

/** Operands of one stage: the first is called with the others when it can be. */
export type Stage = Operand[];

export interface Pipeline {
  /** Variables set by it; two for `range $k, $v :=`. */
  variables: string[];
  declares: boolean;
  stages: Stage[];
}

export type Node =
  | { kind: "text"; text: string }
  | { kind: "output"; pipeline: Pipeline }
  | { kind: "if" | "with" | "range"; pipeline: Pipeline; body: Node[]; otherwise: Node[] }
  | { kind: "break" | "continue" };

export function parseTemplate(template: string, functions: ReadonlySet<string>, name = ""): Node[] {
  try {
    return new Parser(template, functions).parse();
  } catch (thrown) {
    if (name === "" || !(thrown instanceof TemplateError)) throw thrown;
    throw new TemplateError(thrown.message.replace("template: :", `template: ${name}:`));
  }
}

class Parser {
  readonly #template: string;
  readonly #functions: ReadonlySet<string>;
  readonly #tokens: Token[];
  #next = 0;
  #variables: string[] = ["$"];

  constructor(template: string, functions: ReadonlySet<string>) {
    this.#template = template;
    this.#functions = functions;
    this.#tokens = tokenize(template);
  }

  parse(): Node[] {
    const { nodes, stop } = this.#list();
    if (stop !== null) throw this.#fail(stop, `unexpected {{${stop.text}}}`);
    return nodes;
  }

  /** Nodes up to {{end}} or {{else …}}, whose word is given back; null at the end of the template. */
  #list(): { nodes: Node[]; stop: Token | null } {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#take();
      if (token.kind === "end") return { nodes, stop: null };
      if (token.kind === "text") {
        nodes.push({ kind: "text", text: token.text });
        continue;
      }
      const word = this.#peek();
      if (word.kind === "word" && (word.text === "end" || word.text === "else")) {
        this.#take();
        return { nodes, stop: word };
      }
      nodes.push(this.#action(word));
    }
  }

  #action(word: Token): Node {
    if (word.kind === "word" && (word.text === "if" || word.text === "with" || word.text === "range")) {
      this.#take();
      return this.#block(word.text, word);
    }
    if (word.kind === "word" && (word.text === "break" || word.text === "continue")) {
      this.#take();
      this.#close(word.text);
      return { kind: word.text };
    }
    const pipeline = this.#pipeline("command", "close");
    return { kind: "output", pipeline };
  }

  #block(kind: "if" | "with" | "range", word: Token): Node {
    const scope = this.#variables.length;
    const pipeline = this.#pipeline(kind, "close");
    const { nodes, stop } = this.#list();
    if (stop === null) throw this.#fail(this.#peek(), "unexpected EOF");
    let otherwise: Node[] = [];
    if (stop.text === "else") {
      const chained = this.#peek();
      if (chained.kind === "word" && chained.text === kind && kind !== "range") {
        this.#take();
        otherwise = [this.#block(kind, chained)];
        this.#variables.length = scope;
        return { kind, pipeline, body: nodes, otherwise };
      }
      this.#close("else");
      const rest = this.#list();
      if (rest.stop === null) throw this.#fail(this.#peek(), "unexpected EOF");
      if (rest.stop.text !== "end") throw this.#fail(word, `expected end; found {{else}}`);
      otherwise = rest.nodes;
    }
    this.#close("end");
    this.#variables.length = scope;
    return { kind, pipeline, body: nodes, otherwise };
  }

  #pipeline(context: string, until: "close" | ")"): Pipeline {
    const pipeline: Pipeline = { variables: [], declares: false, stages: [] };
    this.#declarations(pipeline, context);
    for (;;) {
      const stage = this.#stage(context);
      if (stage.length > 0) pipeline.stages.push(stage);
      const token = this.#take();
      if (token.kind === "pipe") {
        if (stage.length === 0) throw this.#fail(token, `missing value for ${context}`);
        continue;
      }
      const ends = until === "close" ? token.kind === "close" : token.text === ")";
      if (!ends) throw this.#unexpected(token, until === "close" ? context : "parenthesized pipeline");
      if (pipeline.stages.length === 0 || stage.length === 0) throw this.#fail(token, `missing value for ${context}`);
      return pipeline;
    }
  }

  #declarations(pipeline: Pipeline, context: string): void {
    const start = this.#next;
    const names: string[] = [];
    while (this.#peek().kind === "variable") {
      names.push(this.#take().text);
      const separator = this.#take();
      if (separator.kind === "declare" || separator.kind === "assign") {
        pipeline.variables = names;
        pipeline.declares = separator.kind === "declare";
        if (pipeline.declares) this.#variables.push(...names);
        return;
      }
      if (separator.kind !== "comma" || context !== "range" || names.length > 1) break;
    }
    this.#next = start;
  }

  #stage(context: string): Stage {
    const stage: Stage = [];
    for (;;) {
      const token = this.#peek();
      if (token.kind === "close" || token.kind === "pipe" || token.text === ")" || token.kind === "end") return stage;
      stage.push(this.#operand(context));
    }
  }

  #operand(context: string): Operand {
    const token = this.#take();
    const { at, text } = token;
    switch (token.kind) {
      case "string":
        return { kind: "literal", value: unquote(text), at, source: text };
      case "char":
        return { kind: "literal", value: unquote(`"${text.slice(1, -1)}"`).codePointAt(0), at, source: text };
      case "number":
        return { kind: "literal", value: Number(text.replace(/_/g, "")), at, source: text };
      case "dot":
        return { kind: "dot", at, source: "." };
      case "field": {
        const names = [text.slice(1), ...this.#fields()];
        return { kind: "field", names, at: this.#chainAt(names.length, at), source: `.${names.join(".")}` };
      }
      case "variable": {
        if (!this.#variables.includes(text)) throw this.#fail(token, `undefined variable ${quote(text)}`);
        const names = this.#fields();
        return { kind: "variable", name: text, names, at, source: [text, ...names].join(".") };
      }
      case "word":
        return this.#word(token);
      case "paren": {
        if (text !== "(") break;
        const pipeline = this.#pipeline("parenthesized pipeline", ")");
        return {
          kind: "group",
          pipeline,
          names: this.#fields(),
          at,
          source: this.#template.slice(at, this.#peek().at).trim(),
        };
      }
    }
    throw this.#unexpected(token, context === "command" || token.kind !== "end" ? "operand" : context);
  }

  #word(token: Token): Operand {
    const { at, text } = token;
    if (text === "true" || text === "false") return { kind: "literal", value: text === "true", at, source: text };
    if (text === "nil") return { kind: "nil", at, source: text };
    if (!this.#functions.has(text)) throw this.#fail(token, `function ${quote(text)} not defined`);
    return { kind: "function", name: text, at, source: text };
  }

  /** Fields that follow without a space. */
  #fields(): string[] {
    const names: string[] = [];
    while (this.#tokens[this.#next]?.kind === "field") names.push(this.#tokens[this.#next++]!.text.slice(1));
    return names;
  }

  /** Go places a chain of fields at its second one. */
  #chainAt(length: number, first: number): number {
    if (length < 2) return first;
    let index = this.#next - 1;
    while (this.#tokens[index - 1]?.kind === "field" && this.#tokens[index - 1]!.at > first) index--;
    return this.#tokens[index]!.at;
  }

  #close(context: string): void {
    const token = this.#take();
    if (token.kind !== "close") throw this.#unexpected(token, context);
  }

  #peek(): Token {
    while (this.#tokens[this.#next]!.kind === "space") this.#next++;
    return this.#tokens[this.#next]!;
  }

  #take(): Token {
    const token = this.#peek();
    if (token.kind !== "end") this.#next++;
    return token;
  }

  #unexpected(token: Token, context: string): TemplateError {
    return this.#fail(token, token.kind === "end" ? "unexpected EOF" : `unexpected ${quote(token.text)} in ${context}`);
  }

  #fail(token: Token, words: string): TemplateError {
    return parseFailure(this.#template, token.at, words);
  }
}

function unquote(text: string): string {
  if (text.startsWith("`")) return text.slice(1, -1);
  return text
    .slice(1, -1)
    .replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)/gs, (_all, code: string) => {
      if (/^[xuU]./.test(code)) return String.fromCodePoint(Number.parseInt(code.slice(1), 16));
      if (/^[0-7]{3}$/.test(code)) return String.fromCharCode(Number.parseInt(code, 8));
      return SIMPLE_ESCAPES[code] ?? code;
    });
}

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\u0007",
  b: "\b",
  f: "\f",
  v: "\v",
};

export { lineOf };
