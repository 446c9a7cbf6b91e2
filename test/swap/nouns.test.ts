// The conformance suites of core/ against a daemon over gRPC: ours, and the original's as the measure of the suites.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { exportArchive } from "../../core/archive/export.ts";
import { importArchive } from "../../core/archive/import.ts";
import { recordConformance } from "../../core/containers/conformance.ts";
import { contentConformance } from "../../core/content/conformance.ts";
import { unpackImage } from "../../core/images/unpack.ts";
import { type Nouns, RemoteContainerd } from "../../core/remote.ts";
import { snapshotConformance } from "../../core/snapshots/conformance.ts";
import { busyboxArchive } from "../../tools/start/image.ts";
import { type Side, Stack, skipReason } from "./stack.ts";

const NAME = "docker.io/library/busybox:conformance";

for (const side of ["original", "ours"] as const) {
  const others = { ctr: "original", "containerd-shim-runc-v2": "original", runc: "original" } as const;
  const chain = { ...others, containerd: side };
  describe(`${side === "ours" ? "our" : "the original"} containerd`, { skip: skipReason(chain) }, () =>
    suite(side, chain),
  );
}

function suite(side: Side, chain: ConstructorParameters<typeof Stack>[0]): void {
  const stack = new Stack(chain);
  let containerd: RemoteContainerd;
  before(async () => {
    await stack.start();
    containerd = new RemoteContainerd(stack.address);
  });
  after(async () => {
    containerd.close();
    await stack[Symbol.asyncDispose]();
  });
  const nouns = (lease: string | null = null): Nouns =>
    containerd.scoped({ namespace: "conformance", lease, acknowledged: true });
  contentConformance(() => nouns().content);
  snapshotConformance(() => nouns().snapshots("overlayfs"));
  recordConformance(() => Object.assign(nouns(), { namespaces: containerd.namespaces }));
  importTests(nouns, side);
}

function importTests(nouns: (lease?: string | null) => Nouns, side: Side): void {
  const options = {
    ...{ translate: (reference: string) => reference, digestName: null, skipDigestForNamed: false },
    ...{ indexName: "", labels: {} },
  };
  const folder = mkdtempSync(join(tmpdir(), "gantry-import-"));
  after(() => rmSync(folder, { recursive: true }));

  test("an archive becomes an image, an unpacked one a chain of snapshots, a deleted one nothing", async () => {
    const archive = await busyboxArchive(NAME);
    const images = await importArchive(nouns, Readable.from([archive]), options);
    assert.deepEqual(
      images.map((image) => image.name),
      [NAME],
    );
    const unpacked = await unpackImage(nouns(), images[0]!.target, { snapshotter: "overlayfs" });
    const again = await unpackImage(nouns(), images[0]!.target, { snapshotter: "overlayfs" });
    assert.equal(again.chainId, unpacked.chainId);
    const mounts = await nouns()
      .snapshots("overlayfs")
      .view("look", unpacked.chainId, { "containerd.io/gc.root": "x" });
    assert(existsSync(join(mounts[0]!.source, "bin/busybox")));
    await nouns().snapshots("overlayfs").remove("look");
    await nouns().images.delete(NAME, { sync: true });
    assert.deepEqual(await nouns().content.list([]), []);
    assert.deepEqual(await nouns().snapshots("overlayfs").list([]), []);
  });

  test("an exported image is taken back by import, whatever form is read, and by tar", async () => {
    const archive = await busyboxArchive(NAME);
    const [image] = await importArchive(nouns, Readable.from([archive]), options);
    const bytes = await buffer(
      await exportArchive(nouns().content, [image!], { platform: null, skipDockerManifest: false }),
    );
    const listed = spawnSync("tar", ["tf", "-"], { input: bytes, encoding: "utf8" }).stdout;
    assert.match(listed, /^oci-layout\n(blobs\/sha256\/[0-9a-f]{64}\n){3}index\.json\nmanifest\.json\n$/);
    await nouns().images.delete(NAME, { sync: true });
    assert.deepEqual(await nouns().content.list([]), []);
    const [again] = await importArchive(nouns, Readable.from([bytes]), options);
    assert.deepEqual([again!.name, again!.target.digest], [NAME, image!.target.digest]);
    await unpackImage(nouns(), again!.target, { snapshotter: "overlayfs" });
    await nouns().images.delete(NAME, { sync: true });
    await assert.rejects(exportArchive(nouns().content, [again!], { platform: null, skipDockerManifest: false }), {
      code: "not_found",
    });
  });

  test("a truncated archive and one of garbage are refused with a sentence and leave no content", async () => {
    const archive = await busyboxArchive(NAME);
    const file = join(folder, "cut.tar");
    writeFileSync(file, archive.subarray(0, archive.length / 2));
    await assert.rejects(importArchive(nouns, createReadStream(file), options), /truncated/);
    await assert.rejects(importArchive(nouns, Readable.from([Buffer.alloc(4096, 0x41)]), options), /no image archive/);
    await assert.rejects(
      importArchive(nouns, Readable.from([Buffer.alloc(1024)]), options),
      /unrecognized image format/,
    );
    assert.deepEqual(await nouns().content.list([]), []);
    assert.deepEqual(await nouns().images.list([]), []);
    assert.deepEqual(await nouns().leases.list([]), []);
    if (side === "ours") assert.deepEqual(await nouns().content.statuses([]), []);
    assert.deepEqual(readdirSync(folder), ["cut.tar"]);
  });
}
