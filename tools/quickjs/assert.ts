// The part of node:assert/strict that tests of portable code use, on QuickJS.

type Expected = RegExp | ((thrown: never) => unknown) | (new (...args: never[]) => Error) | Record<string, unknown>;

function assert(value: unknown, message = "not true"): asserts value {
  if (!value) fail(message);
}

function fail(message: string): never {
  throw new Error(`assertion failed: ${message}`);
}

function equal(actual: unknown, expected: unknown, message = ""): void {
  if (!Object.is(actual, expected)) fail(`${show(actual)} is not ${show(expected)} ${message}`);
}

function notEqual(actual: unknown, expected: unknown): void {
  if (Object.is(actual, expected)) fail(`both are ${show(actual)}`);
}

function deepEqual(actual: unknown, expected: unknown, message = ""): void {
  if (!same(actual, expected)) fail(`${show(actual)} is not ${show(expected)} ${message}`);
}

function match(text: string, pattern: RegExp): void {
  if (!pattern.test(text)) fail(`${show(text)} does not match ${pattern}`);
}

function throws(body: () => unknown, expected?: Expected): void {
  try {
    body();
  } catch (caught) {
    check(caught, expected);
    return;
  }
  fail("nothing was thrown");
}

async function rejects(body: Promise<unknown> | (() => Promise<unknown>), expected?: Expected): Promise<void> {
  try {
    await (typeof body === "function" ? body() : body);
  } catch (thrown) {
    check(thrown, expected);
    return;
  }
  fail("nothing was rejected");
}

function check(thrown: unknown, expected: Expected | undefined): void {
  if (expected === undefined) return;
  if (expected instanceof RegExp) match(String(thrown), expected);
  else if (typeof expected !== "function") {
    for (const [name, value] of Object.entries(expected)) checkProperty(thrown, name, value);
  } else if (expected.prototype instanceof Error || (expected as unknown) === Error) {
    assert(thrown instanceof (expected as new () => Error), `another error: ${String(thrown)}`);
  } else {
    assert((expected as (thrown: unknown) => unknown)(thrown) === true, `not the expected error: ${String(thrown)}`);
  }
}

function checkProperty(thrown: unknown, name: string, value: unknown): void {
  const actual = (thrown as Record<string, unknown>)[name];
  if (value instanceof RegExp) match(String(actual), value);
  else deepEqual(actual, value, name);
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Map && b instanceof Map) return same([...a], [...b]);
  if (a instanceof Set && b instanceof Set) return same([...a], [...b]);
  const names = Reflect.ownKeys(a);
  if (names.length !== Reflect.ownKeys(b).length) return false;
  const [left, right] = [a as Record<PropertyKey, unknown>, b as Record<PropertyKey, unknown>];
  return names.every((name) => Object.hasOwn(right, name) && same(left[name], right[name]));
}

function show(value: unknown): string {
  const text = JSON.stringify(value, (_name, part: unknown) => (typeof part === "bigint" ? `${part}n` : part), 1);
  return text === undefined ? String(value) : text;
}

export default Object.assign(assert, { ok: assert, fail, equal, notEqual, deepEqual, match, throws, rejects });
