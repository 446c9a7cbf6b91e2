// What is garbage and what is not, on the daemon's own stores in a directory of the test's.

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after } from "node:test";
import { Containers, containerTable } from "../containers/store.ts";
import { ContentFiles } from "../content/files.ts";
import { Blobs, contentTable } from "../content/store.ts";
import { digestOf } from "../images/manifest.ts";
import { Images, imageTable } from "../images/store.ts";
import { Leases, leaseTable } from "../leases/store.ts";
import { Database } from "../metadata/database.ts";
import { SnapshotDirectories } from "../snapshots/directories.ts";
import { OverlaySnapshots, snapshotTable } from "../snapshots/overlay.ts";
import type { Labels, Scope } from "../values.ts";
import { Collector } from "./collector.ts";

const silent = () => {};
const folder = mkdtempSync(join(tmpdir(), "gantry-gc-"));
after(() => rmSync(folder, { recursive: true }));

function openAll(name: string) {
  const root = join(folder, name);
  const tables = [contentTable, imageTable, containerTable, leaseTable, snapshotTable];
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  const database = Database.open({ path: join(root, "m/metadata.sqlite"), tables, warn });
  const none = async (): Promise<void> => {};
  const leases = new Leases(database, none);
  const files = new ContentFiles(join(root, "content"));
  const blobs = new Blobs({ database, files, leases: leases.table, events: { deleted: silent, committed: silent } });
  const three = { created: silent, updated: silent, deleted: silent };
  const images = new Images({ database, leases: leases.table, events: three, collect: none });
  const containers = new Containers(database, three, none);
  const snapshots = new OverlaySnapshots({
    ...{ database, directories: new SnapshotDirectories(join(root, "snapshots")), leases: leases.table },
    ...{ events: { prepared: silent, committed: silent, removed: silent }, sync: none },
  });
  const collector = new Collector({ database, blobs, images, containers, snapshots, leases, warn });
  const scope: Scope = { namespace: "ns", lease: null, acknowledged: false };
  const write = async (text: string, labels: Labels, lease: string | null = null): Promise<string> => {
    const bytes = new TextEncoder().encode(text);
    const writer = await blobs.scoped({ ...scope, lease }).writer(`ref-${text}`, { size: 0, digest: "" });
    await writer.write(bytes);
    return writer.commit({ size: 0, digest: digestOf(bytes), labels });
  };
  const layer = async (key: string, parent: string): Promise<void> => {
    const store = snapshots.scoped(scope);
    await store.prepare(`${key}-active`, parent, {});
    await store.commit(key, `${key}-active`, {});
  };
  return { root, database, blobs, images, leases, snapshots, collector, scope, write, layer, files, warnings };
}

test("an image keeps its manifest, what that refers to, and the chain of snapshots; the rest goes", async () => {
  const all = openAll("image");
  await all.layer("base", "");
  await all.layer("top", "base");
  await all.layer("stray", "base");
  const config = await all.write("config", { "containerd.io/gc.ref.snapshot.overlayfs": "top" });
  const manifest = await all.write("manifest", { "containerd.io/gc.ref.content.config": config });
  const stray = await all.write("stray", {});
  const target = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: manifest, size: 8 };
  await all.images.scoped(all.scope).create({ name: "image", target, labels: {} });
  assert.deepEqual(await all.collector.collect(), { content: 1, snapshots: 1 });
  assert.deepEqual(all.blobs.table.keys("ns").sort(), [config, manifest].sort());
  assert.deepEqual(all.snapshots.table.keys("ns").sort(), ["base", "top"]);
  assert(!existsSync(all.files.blobPath(stray)));
  await all.images.scoped(all.scope).delete("image", { sync: false });
  assert.deepEqual(await all.collector.collect(), { content: 2, snapshots: 2 });
  await all.snapshots.sweep();
  assert.deepEqual(readdirSync(join(all.root, "snapshots/snapshots")), []);
  all.collector.stop();
  await all.database.close();
});

test("a lease keeps what was made under it, until it is deleted or its time has passed", async () => {
  const all = openAll("lease");
  const leases = all.leases.scoped(all.scope);
  const past = new Date(Date.now() - 1000).toISOString();
  await leases.create({ id: "held", labels: {} });
  await leases.create({ id: "late", labels: { "containerd.io/gc.expire": past } });
  const held = await all.write("held", {}, "held");
  await all.write("late", {}, "late");
  await all.collector.collect();
  assert.deepEqual(all.blobs.table.keys("ns"), [held]);
  assert.deepEqual(
    (await leases.list([])).map((lease) => lease.id),
    ["held"],
  );
  await leases.delete("held", false);
  await all.collector.collect();
  assert.deepEqual(all.blobs.table.keys("ns"), []);
  await all.database.close();
});

test("an active snapshot of a moment ago is left alone with its parents, though nothing names it yet", async () => {
  const all = openAll("young");
  await all.layer("base", "");
  await all.snapshots.scoped(all.scope).prepare("young", "base", {});
  await all.collector.collect();
  assert.deepEqual(all.snapshots.table.keys("ns").sort(), ["base", "young"]);
  all.collector.stop();
  await all.database.close();
});

test("files that are older than the database are nobody's garbage", async () => {
  const all = openAll("older");
  const path = all.files.blobPath(`sha256:${"a".repeat(64)}`);
  writeFileSync(path, "from an earlier life");
  utimesSync(path, 1, 1);
  // The time of change cannot be set back, so the database is made younger instead.
  Object.assign(all.database, { createdAt: Date.now() + 10_000 });
  await all.collector.collect();
  assert(existsSync(path));
  assert.match(all.warnings.join(), /older than the metadata database/);
  await all.database.close();
});
