// Mends how esbuild lowers `using` inside a loop. Its failure is kept in a `var` of the whole function, so a round that
// failed (and was caught) makes every later round rethrow that failure when it disposes:
//
//     for (…) try { using a = open(); return a } catch {}      // the second round's success throws the first's failure
//
// Each lowered block therefore forgets what an earlier round left behind.

export function forgetEarlierRounds(script: string): string {
  return script.replace(/\b(_stack\d*) = \[\](?!,)/g, (begin, stack: string, at: number) => {
    const after = script.indexOf(`__callDispose(${stack}, `, at);
    const names = after < 0 ? null : /^__callDispose\(\w+, (\w+), (\w+)\)/.exec(script.slice(after, after + 120));
    return names === null ? begin : `${begin}, ${names[1]} = void 0, ${names[2]} = void 0`;
  });
}
