// The part of node:test that tests of portable code use, on QuickJS: test, with a context's after. Tests run one by one
// in the order of their files; a failure is printed with its stack and makes the exit code 1.

import { encodeUtf8 } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import { type Door, door, installDoor } from "../../linux/door.ts";
import { type QuickJsRuntime, start } from "../../runtime/quickjs/runtime.ts";
import { setClock } from "./clock.ts";

export interface TestContext {
  after(clean: () => unknown): void;
}

type Body = (context: TestContext) => unknown;

/** One test may take this long, in milliseconds. */
const TEST_LIMIT = 30_000;

const registered: { file: string; title: string; body: Body }[] = [];
let file = "";

/** Called before each file is loaded. */
export function begin(path: string): void {
  file = path;
}

export function test(title: string, options: Body | object, body?: Body): void {
  registered.push({ file, title, body: body ?? (options as Body) });
}

export default test;

export function main(door: Door): undefined {
  start(door, async (runtime) => {
    setClock(runtime.clock);
    Object.assign(globalThis, {
      setTimeout: (expired: () => void, milliseconds: number) => runtime.clock.timer(milliseconds, expired),
    });
    let failed = 0;
    for (const { file, title, body } of registered) {
      const reason = await failureOf(body, runtime);
      if (reason === null) continue;
      failed++;
      await say(runtime, `✖ ${file}: ${title}\n${reason}\n`);
    }
    await say(runtime, `QuickJS: ${registered.length - failed} passed, ${failed} failed\n`);
    return failed === 0 ? 0 : 1;
  });
}

function say(runtime: QuickJsRuntime, text: string): Promise<void> {
  return runtime.stdout.write(encodeUtf8(text));
}

async function failureOf(body: Body, runtime: QuickJsRuntime): Promise<string | null> {
  const clean: (() => unknown)[] = [];
  const real = door();
  const late = Promise.withResolvers<void>();
  const limit = runtime.clock.timer(TEST_LIMIT, () => late.reject(new Error(`it took more than ${TEST_LIMIT} ms`)));
  try {
    await Promise.race([body({ after: (one) => void clean.push(one) }), late.promise]);
    return null;
  } catch (thrown) {
    return `${messageOf(thrown)}\n${thrown instanceof Error ? (thrown.stack ?? "") : ""}`;
  } finally {
    // A test may have put a scripted kernel in its place.
    installDoor(real);
    limit[Symbol.dispose]();
    for (const one of clean.reverse()) await one();
  }
}
