// CVE-2019-5736 and what follows from it: nothing in a container may write to the runtime's executable, whoever runs it
// and however long.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { RuntimeBench } from "../../bundle.ts";
import { build, copyOfRuntime, withAllRights } from "./attack.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
const SECONDS = "3";
const copy = copyOfRuntime(bench);
build("overwrite", join(bench.rootfs, "bin/overwrite"));
// A program that makes execve take the runtime's own executable, and one that is a link to it.
writeFileSync(join(bench.rootfs, "bin/script"), "#!/proc/self/exe --version\n", { mode: 0o755 });

const digest = () => createHash("sha256").update(readFileSync(copy)).digest("hex");

/** The container's attacker runs while the runtime comes in again and again. */
function attack(program: string, bend: (config: unknown) => void): { output: string; unchanged: boolean } {
  const before = digest();
  const out = "/tmp/out";
  bench.configure(["sh", "-c", `overwrite ${SECONDS} > ${out}; sleep 60`], bend);
  const id = bench.newId();
  assert.equal(bench.runc(["run", "--detach", id], copy).status, 0);
  const end = Date.now() + Number(SECONDS) * 1000;
  while (Date.now() < end) bench.runc(["exec", id, program], copy);
  bench.runc(["exec", id, "sh", "-c", `until grep -q seen ${out}; do sleep 0.1; done`], copy);
  const output = readFileSync(join(bench.rootfs, out), "utf8");
  bench.runc(["delete", "--force", id], copy);
  const unchanged = digest() === before;
  copyOfRuntime(bench);
  return { output, unchanged };
}

describe("the runtime's executable", () => {
  for (const [what, program] of [
    ["a script whose interpreter is /proc/self/exe", "/bin/script"],
    ["/proc/self/exe as the program of exec", "/proc/self/exe"],
    ["an ordinary program of exec", "/bin/true"],
  ] as const) {
    test(`cannot be written to by a container with all rights through ${what}`, () => {
      const { output, unchanged } = attack(program, withAllRights);
      assert.doesNotMatch(output, /WRITTEN/);
      assert.equal(unchanged, true);
      // The attack is one only if it did find the executable where it can be found.
      if (program !== "/bin/true") assert.match(output, /seen [1-9]/);
    });
  }

  test("is on a read-only mount also where a container waits for its start", () => {
    bench.configure(["true"]);
    const id = bench.newId();
    bench.runc(["create", id], copy);
    const { pid } = JSON.parse(bench.runc(["state", id], copy).stdout);
    const held = openSync(`/proc/${pid}/exe`, "r");
    bench.runc(["delete", "--force", id], copy);
    assert.throws(() => openSync(`/proc/self/fd/${held}`, "r+"), { code: "EROFS" });
    closeSync(held);
  });
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
