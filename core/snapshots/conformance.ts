// What every snapshotter does, ours and the original's: registered by tests that have one (test/swap/nouns.test.ts).
// Nothing is mounted: the mounts that are handed out are looked at.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Mount } from "../values.ts";
import type { SnapshotStore } from "./snapshots.ts";

const KEPT = { "containerd.io/gc.root": "test" };

export function snapshotConformance(open: () => SnapshotStore): void {
  test("a layer on nothing is a bind, one on another an overlay, a view of one is read-only", async () => {
    const snapshots = open();
    const base = await snapshots.prepare("base-active", "", KEPT);
    assert.equal(base.length, 1);
    assert.deepEqual([base[0]!.type, [...base[0]!.options].sort()], ["bind", ["rbind", "rw"]]);
    writeFileSync(join(base[0]!.source, "file"), "below");
    await snapshots.commit("base", "base-active", KEPT);
    const second = await snapshots.prepare("second-active", "base", KEPT);
    assert.equal(second[0]!.type, "overlay");
    assert.equal(option(second, "lowerdir"), base[0]!.source);
    const upper = option(second, "upperdir");
    mkdirSync(join(upper, "made"));
    assert.deepEqual(await snapshots.mounts("second-active"), second);
    await snapshots.commit("second", "second-active", KEPT);
    const third = await snapshots.prepare("third-active", "second", KEPT);
    assert.equal(option(third, "lowerdir"), `${upper}:${base[0]!.source}`);
    const view = await snapshots.view("view", "base", KEPT);
    assert.deepEqual(
      [view[0]!.type, view[0]!.source, [...view[0]!.options].sort()],
      ["bind", base[0]!.source, ["rbind", "ro"]],
    );
    for (const key of ["third-active", "view", "second", "base"]) await snapshots.remove(key);
  });

  test("records tell kind, parent, labels and size", async () => {
    const snapshots = open();
    const mounts = await snapshots.prepare("told-active", "", { ...KEPT, a: "b" });
    writeFileSync(join(mounts[0]!.source, "big"), Buffer.alloc(300_000, 1));
    const active = await snapshots.stat("told-active");
    assert.deepEqual([active.kind, active.parent, active.labels["a"]], ["active", "", "b"]);
    await snapshots.commit("told", "told-active", { ...KEPT, c: "d" });
    const info = await snapshots.stat("told");
    assert.deepEqual([info.kind, info.name, info.labels["c"], info.labels["a"]], ["committed", "told", "d", undefined]);
    const usage = await snapshots.usage("told");
    assert(usage.size >= 300_000 && usage.size < 400_000, `${usage.size} bytes`);
    assert.equal(usage.inodes, 2);
    const updated = await snapshots.update({ name: "told", labels: { e: "f" } }, ["labels.e"]);
    assert.deepEqual(updated.labels, { ...KEPT, c: "d", e: "f" });
    assert.deepEqual(
      (await snapshots.list(["name==told"])).map((one) => one.name),
      ["told"],
    );
    assert.deepEqual(await snapshots.list(["kind==active,name==told"]), []);
    await snapshots.remove("told");
  });

  test("taken keys, missing parents and layers in use are refused with their codes", async () => {
    const snapshots = open();
    await snapshots.prepare("a-active", "", KEPT);
    await assert.rejects(snapshots.prepare("a-active", "", KEPT), { code: "already_exists" });
    await assert.rejects(snapshots.prepare("b-active", "nothing", KEPT), { code: "not_found" });
    await assert.rejects(snapshots.prepare("b-active", "a-active", KEPT), { code: "invalid_argument" });
    await snapshots.commit("a", "a-active", KEPT);
    await assert.rejects(snapshots.stat("a-active"), { code: "not_found" });
    await snapshots.prepare("c-active", "a", KEPT);
    await assert.rejects(snapshots.commit("a", "c-active", KEPT), { code: "already_exists" });
    await assert.rejects(snapshots.remove("a"), { code: "failed_precondition" });
    await snapshots.remove("c-active");
    await snapshots.remove("a");
    await assert.rejects(snapshots.remove("a"), { code: "not_found" });
  });
}

function option(mounts: readonly Mount[], name: string): string {
  const found = mounts[0]!.options.find((one) => one.startsWith(`${name}=`));
  return found?.slice(name.length + 1) ?? "";
}
