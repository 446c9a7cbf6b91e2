// Mends how esbuild lowers `using` inside a loop. Its failure is kept in a `var` of the whole function, so a round that
// failed (and was caught) makes every later round rethrow that failure when it disposes:
//
//     for (…) try { using a = open(); return a } catch {}      // the second round's success throws the first's failure
//
// Each lowered block therefore forgets what an earlier round left behind.
//
// And esbuild's two helpers serve `await using` as well, with closures made for each block: a container's start passes
// through a hundred blocks. Programs without `await using` get helpers that do no more than is asked of them.

export function mendUsing(script: string): string {
  return withLeanHelpers(forgetEarlierRounds(script));
}

function forgetEarlierRounds(script: string): string {
  return script.replace(/\b(_stack\d*) = \[\](?!,)/g, (begin, stack: string, at: number) => {
    const after = script.indexOf(`__callDispose(${stack}, `, at);
    const names = after < 0 ? null : /^__callDispose\(\w+, (\w+), (\w+)\)/.exec(script.slice(after, after + 120));
    return names === null ? begin : `${begin}, ${names[1]} = void 0, ${names[2]} = void 0`;
  });
}

/** esbuild's helpers, as one statement: from the first one's name to the end of the second's body. */
const HELPERS =
  /__using = \(stack, value, async\) => \{.*?\n(\s*)\}, __callDispose = \(stack, error, hasError\) => \{.*?\n\1\};/s;

const LEAN_HELPERS = `__using = (stack, value) => {
    if (value !== null && value !== void 0) {
      if (typeof value[Symbol.dispose] !== "function") throw TypeError("Object not disposable");
      stack.push(value);
    }
    return value;
  }, __callDispose = (stack, error, hasError) => {
    for (let at = stack.length - 1; at >= 0; at--) {
      try {
        stack[at][Symbol.dispose]();
      } catch (thrown) {
        if (hasError) {
          const both = Error("An error was suppressed during disposal");
          both.name = "SuppressedError", both.error = thrown, both.suppressed = error, error = both;
        } else error = thrown, hasError = !0;
      }
    }
    if (hasError) throw error;
  };`;

function withLeanHelpers(script: string): string {
  // What `await using` becomes.
  if (/= __callDispose\(/.test(script) || !script.includes("__callDispose(")) return script;
  if (!HELPERS.test(script))
    throw new Error("esbuild lowers `using` with other helpers than before: see tools/build/using.ts");
  return script.replace(HELPERS, () => LEAN_HELPERS);
}
