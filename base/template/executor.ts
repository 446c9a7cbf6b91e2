// Runs a parsed template over a value. Values are JSON values, and objects of class Row (rowContext.ts) whose fields
// are computed; a field that holds a function is called, as Go calls methods.

import { quote } from "../flags/go.ts";
import { ARGUMENTS, FUNCTION_NAMES, FUNCTIONS, isTrue, SIGNATURES, type TemplateFunction } from "./functions.ts";
import { lineOf, TemplateError } from "./lexer.ts";
import { type Node, type Operand, type Pipeline, parseTemplate, type Stage } from "./parser.ts";
import { type Fields, isFields, isMap, Shown, showValue, typeName } from "./print.ts";

export type { Fields };

export interface TemplateOptions {
  /** What a missing or null field stands for; undefined when it is an error (missing) or nothing (null). */
  absent?: (name: string, missing: boolean) => unknown;
  /** Functions that change text leave it as it is: for titles of columns. */
  plainFunctions?: boolean;
  /** In the place of those of the same names. */
  functions?: Readonly<Record<string, TemplateFunction>>;
  /** Lists and maps hold texts, which shows in the names of their types. */
  textsOnly?: true;
  /** Stands in complaints; "" by default. */
  name?: string;
}

export class Template {
  readonly #source: string;
  readonly #nodes: Node[];
  readonly #options: TemplateOptions;

  constructor(source: string, options: TemplateOptions = {}) {
    this.#source = source;
    this.#nodes = parseTemplate(source, FUNCTION_NAMES, options.name);
    this.#options = options;
  }

  execute(data: unknown): string {
    return new Execution(this.#source, this.#options, data).run(this.#nodes);
  }
}

class LoopSignal extends Error {
  readonly signal: "break" | "continue";

  constructor(signal: "break" | "continue") {
    super(signal);
    this.signal = signal;
  }
}

class Execution {
  readonly #source: string;
  readonly #options: TemplateOptions;
  readonly #variables: { name: string; value: unknown }[];
  #out = "";

  constructor(source: string, options: TemplateOptions, data: unknown) {
    this.#source = source;
    this.#options = options;
    this.#variables = [{ name: "$", value: data }];
  }

  run(nodes: Node[]): string {
    this.#list(nodes, this.#variables[0]!.value);
    return this.#out;
  }

  #list(nodes: Node[], dot: unknown): void {
    for (const node of nodes) this.#node(node, dot);
  }

  #node(node: Node, dot: unknown): void {
    switch (node.kind) {
      case "text":
        this.#out += node.text;
        return;
      case "output": {
        const value = this.#pipeline(node.pipeline, dot);
        if (node.pipeline.variables.length > 0) return;
        this.#out += value === null || value === undefined ? this.#nothing(node.pipeline) : showValue(value);
        return;
      }
      case "range":
        this.#scoped(() => this.#range(node, dot));
        return;
      case "if":
      case "with":
        this.#scoped(() => {
          const value = this.#pipeline(node.pipeline, dot);
          const inner = node.kind === "with" ? value : dot;
          if (isTrue(value)) this.#list(node.body, inner);
          else this.#list(node.otherwise, dot);
        });
        return;
      default:
        throw new LoopSignal(node.kind);
    }
  }

  #scoped(action: () => void): void {
    const depth = this.#variables.length;
    try {
      action();
    } finally {
      this.#variables.length = depth;
    }
  }

  #range(node: Extract<Node, { kind: "if" | "with" | "range" }>, dot: unknown): void {
    const { variables, declares } = node.pipeline;
    const value = this.#pipeline({ ...node.pipeline, variables: [] }, dot);
    const entries = this.#entries(value, node.pipeline);
    if (entries.length === 0) this.#list(node.otherwise, dot);
    for (const [key, item] of entries) {
      const depth = this.#variables.length;
      if (variables.length > 0) {
        this.#assign(variables[variables.length - 1]!, item, declares);
        if (variables.length > 1) this.#assign(variables[0]!, key, declares);
      }
      try {
        this.#list(node.body, item);
      } catch (thrown) {
        if (!(thrown instanceof LoopSignal)) throw thrown;
        if (thrown.signal === "break") return;
      } finally {
        this.#variables.length = depth;
      }
    }
  }

  #entries(value: unknown, pipeline: Pipeline): [unknown, unknown][] {
    if (value === null || value === undefined) return [];
    if (Array.isArray(value)) return value.map((item, at) => [at, item]);
    if (typeof value === "number") return Array.from({ length: value }, (_none, at) => [at, at]);
    if (isMap(value) && !isFields(value))
      return Object.keys(value)
        .sort()
        .map((key) => [key, value[key]]);
    throw this.#fail(pipeline.stages[0]![0]!, `range can't iterate over ${showValue(value)}`);
  }

  #assign(name: string, value: unknown, declares: boolean): void {
    if (declares) {
      this.#variables.push({ name, value });
      return;
    }
    for (let at = this.#variables.length - 1; at >= 0; at--) {
      if (this.#variables[at]!.name !== name) continue;
      this.#variables[at]!.value = value;
      return;
    }
  }

  #pipeline(pipeline: Pipeline, dot: unknown): unknown {
    let value: unknown;
    pipeline.stages.forEach((stage, at) => {
      value = this.#stage(stage, dot, at === 0 ? [] : [value]);
    });
    for (const name of pipeline.variables) this.#assign(name, value, pipeline.declares);
    return value;
  }

  #stage(stage: Stage, dot: unknown, last: unknown[]): unknown {
    const [first, ...rest] = stage as [Operand, ...Operand[]];
    if (first.kind === "function") return this.#call(first, rest, { dot, last });
    const value = this.#operand(first, dot);
    if (typeof value === "function") {
      return this.#invoke(first, value as TemplateFunction, [
        ...rest.map((operand) => this.#value(operand, dot)),
        ...last,
      ]);
    }
    if (rest.length === 0 && last.length === 0) return value;
    const named = first.kind === "field" ? first.names.at(-1) : undefined;
    if (named === undefined) throw this.#fail(first, `can't give argument to non-function ${first.source}`);
    throw this.#fail(first, `${named} is not a method but has arguments`);
  }

  #call(
    operand: Extract<Operand, { kind: "function" }>,
    rest: Operand[],
    given: { dot: unknown; last: unknown[] },
  ): unknown {
    if (operand.name === "and" || operand.name === "or") {
      let value: unknown;
      for (const each of rest) {
        value = this.#value(each, given.dot);
        if (isTrue(value) === (operand.name === "or")) return value;
      }
      return given.last.length > 0 ? given.last[0] : value;
    }
    const args = [...rest.map((each) => this.#value(each, given.dot)), ...given.last];
    const plain = this.#options.plainFunctions === true && PLAIN_IN_TITLES.includes(operand.name);
    const called = plain
      ? (...values: unknown[]) => values.find((value) => typeof value === "string") ?? ""
      : (this.#options.functions?.[operand.name] ?? FUNCTIONS[operand.name]!);
    // Of the title of a column any type will do.
    if (!plain) this.#check(operand, rest, args);
    return this.#invoke(operand, called, args, [operand, ...rest].map(({ source }) => source).join(" "));
  }

  /** Number and types of arguments; the last may have come through a pipe, and then has no operand. */
  #check(called: Extract<Operand, { kind: "function" }>, rest: readonly Operand[], args: readonly unknown[]): void {
    const types = SIGNATURES[called.name];
    const { count, more = false } = types === undefined ? (ARGUMENTS[called.name] ?? ANY) : { count: types.length };
    if (more ? args.length < count : args.length !== count) {
      const wanted = more ? `at least ${count}` : count;
      throw this.#fail(called, `wrong number of args for ${called.name}: want ${wanted} got ${args.length}`);
    }
    types?.forEach((type, at) => {
      const [value, operand] = [args[at], rest[at] ?? called];
      if (type === "int" ? isWhole(value) : type === "string" ? typeof value === "string" : Array.isArray(value))
        return;
      if (operand.kind === "nil") throw this.#fail(operand, `cannot assign nil to ${type}`);
      if (operand.kind === "literal" && type !== "[]string") {
        throw this.#fail(operand, `expected ${type === "int" ? "integer" : type}; found ${operand.source}`);
      }
      throw this.#fail(operand, `wrong type for value; expected ${type}; got ${this.#typeOf(value)}`);
    });
  }

  #invoke(operand: Operand, called: TemplateFunction, args: unknown[], shown = operand.source): unknown {
    try {
      return called(...args);
    } catch (thrown) {
      if (thrown instanceof TemplateError) throw thrown;
      const words = `error calling ${operand.source.replace(/^\./, "")}: ${(thrown as Error).message}`;
      throw this.#fail(operand, words, shown);
    }
  }

  /** An operand as an argument: a method without arguments is called. */
  #value(operand: Operand, dot: unknown): unknown {
    if (operand.kind === "function") return this.#call(operand, [], { dot, last: [] });
    if (operand.kind === "nil") return null;
    const value = this.#operand(operand, dot);
    return typeof value === "function" ? this.#invoke(operand, value as TemplateFunction, []) : value;
  }

  #operand(operand: Operand, dot: unknown): unknown {
    switch (operand.kind) {
      case "dot":
        return dot;
      case "nil":
        throw this.#fail(operand, "nil is not a command");
      case "literal":
        return operand.value;
      case "field":
        return this.#chain(dot, operand.names, operand);
      case "variable": {
        const found = this.#variables.findLast((variable) => variable.name === operand.name);
        return this.#chain(found?.value, operand.names, operand);
      }
      case "group":
        return this.#chain(this.#pipeline(operand.pipeline, dot), operand.names, operand);
      case "function":
        return this.#call(operand, [], { dot, last: [] });
    }
  }

  #chain(start: unknown, names: readonly string[], operand: Operand): unknown {
    let value = start;
    for (const name of names) {
      if (typeof value === "function") value = (value as TemplateFunction)();
      value = this.#field(value, name, operand);
    }
    return value;
  }

  #field(value: unknown, name: string, operand: Operand): unknown {
    if (isFields(value)) {
      const found = value.field(name);
      if (found !== undefined) return found;
      throw this.#fail(operand, `can't evaluate field ${name} in type ${value.goType}`);
    }
    if (value === null || value === undefined) throw this.#fail(operand, `nil data; no entry for key ${quote(name)}`);
    if (!isMap(value) || value instanceof Shown)
      throw this.#fail(operand, `can't evaluate field ${name} in type ${this.#typeOf(value)}`);
    if (Object.hasOwn(value, name)) return value[name];
    const substitute = this.#options.absent?.(name, true);
    if (substitute !== undefined) return substitute;
    throw this.#fail(operand, `map has no entry for key ${quote(name)}`);
  }

  /** How null is shown: Go's typed values know what they would have held. */
  #nothing(pipeline: Pipeline): string {
    const last = pipeline.stages.at(-1)!;
    const operand = last[0]!;
    const named = last.length === 1 && (operand.kind === "field" || operand.kind === "variable");
    const name = named ? operand.names.at(-1) : undefined;
    const substitute = name === undefined ? undefined : this.#options.absent?.(name, false);
    return substitute === undefined ? "<no value>" : showValue(substitute);
  }

  #typeOf(value: unknown): string {
    const name = typeName(value);
    return this.#options.textsOnly === true ? name.replace("interface {}", "string") : name;
  }

  #fail(operand: Operand, words: string, shown = operand.source): TemplateError {
    const before = this.#source.slice(0, operand.at);
    const column = operand.at - (before.lastIndexOf("\n") + 1);
    const name = this.#options.name ?? "";
    return new TemplateError(
      `template: ${name}:${lineOf(this.#source, operand.at)}:${column}: executing "${name}" at <${shown}>: ${words}`,
    );
  }
}

const PLAIN_IN_TITLES = ["json", "split", "join", "title", "lower", "upper", "truncate", "pad"];
const ANY = { count: 0, more: true } as const;

function isWhole(value: unknown): boolean {
  return typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value));
}
