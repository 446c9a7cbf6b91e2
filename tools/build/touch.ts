// The engine makes most built-in functions when they are first looked at, which writes to pages all over a heap image.
// So those that a program may use are looked at while its image is built, by a script of its own: everything reachable
// from the global object by names that occur in the program's text.

export function touchScript(program: string): string {
  const names = new Set(program.match(/\b[A-Za-z]\w*/g));
  return `(${touch})(new Set(${JSON.stringify([...names].filter(isBuiltIn).sort())}));`;
}

const ROOTS = [
  ...["Object", "Function", "Array", "String", "Number", "Boolean", "Symbol", "BigInt", "Math", "JSON", "Map", "Set"],
  ...["WeakMap", "WeakSet", "WeakRef", "Promise", "RegExp", "Date", "Error", "AggregateError", "TypeError", "Iterator"],
  ...["ArrayBuffer", "DataView", "Uint8Array", "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array"],
];

/** Names that the engine of the build has, too, are more than the engine's own, which does no harm. */
function isBuiltIn(name: string): boolean {
  return BUILT_IN.has(name);
}

function builtInNames(): Set<string> {
  const names = new Set<string>();
  const seen = new Set<unknown>();
  const visit = (value: unknown): void => {
    if (value === null || (typeof value !== "object" && typeof value !== "function") || seen.has(value)) return;
    seen.add(value);
    for (const name of Object.getOwnPropertyNames(value)) {
      names.add(name);
      const { value: inner, get } = Object.getOwnPropertyDescriptor(value, name) ?? {};
      visit(inner);
      visit(get);
    }
    visit(Object.getPrototypeOf(value));
  };
  for (const name of ROOTS) visit(Reflect.get(globalThis, name));
  for (const name of ROOTS) names.add(name);
  visit([][Symbol.iterator]());
  return names;
}

const BUILT_IN: ReadonlySet<string> = builtInNames();

/** Runs in the engine, as text: it uses nothing from around it. */
function touch(names: ReadonlySet<string>): void {
  const seen = new Set<unknown>();
  const visit = (value: unknown): void => {
    if (value === null || (typeof value !== "object" && typeof value !== "function") || seen.has(value)) return;
    seen.add(value);
    const keys: (string | symbol)[] = Object.getOwnPropertyNames(value).filter((name) => names.has(name));
    for (const key of [...keys, ...Object.getOwnPropertySymbols(value)]) {
      const found = Object.getOwnPropertyDescriptor(value, key);
      visit(found?.value);
      visit(found?.get);
    }
    visit(Object.getPrototypeOf(value));
  };
  visit(globalThis);
  for (const one of [[].values(), new Map().entries(), new Set().values(), "".matchAll(/x/g), ""[Symbol.iterator]()]) {
    visit(one);
  }
  // Of functions of every kind, which nothing global leads to.
  visit(function* () {});
  visit(async () => {});
}
