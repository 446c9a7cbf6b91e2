// What every content store does, ours and the original's: registered by tests that have one (test/swap/nouns.test.ts).

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { codeOf } from "../../base/errors.ts";
import { digestOf, readBlob } from "../images/manifest.ts";
import type { ContentStore } from "./content.ts";

const LEFT = { "containerd.io/gc.root": "test" };

export function contentConformance(open: () => ContentStore): void {
  test("a blob written in pieces is read back whole, in part, and by its record", async () => {
    const content = open();
    const bytes = new Uint8Array(randomBytes(3_000_000));
    const digest = digestOf(bytes);
    const writer = await content.writer("one", { size: bytes.length, digest });
    for (let at = 0; at < bytes.length; at += 700_000) await writer.write(bytes.subarray(at, at + 700_000));
    assert.equal(await writer.commit({ size: bytes.length, digest, labels: { ...LEFT, a: "b" } }), digest);
    assert.deepEqual(Buffer.from(await readBlob(content, digest)), Buffer.from(bytes));
    const info = await content.info(digest);
    assert.equal(info.size, bytes.length);
    assert.equal(info.labels["a"], "b");
    const part: Uint8Array[] = [];
    for await (const piece of content.read(digest, { offset: 1000, size: 50 })) part.push(piece);
    assert.deepEqual(Buffer.concat(part), Buffer.from(bytes.subarray(1000, 1050)));
    await content.delete(digest);
    await assert.rejects(content.info(digest), { code: "not_found" });
  });

  test("a blob that is there is refused at once, by its digest", async () => {
    const content = open();
    const bytes = new TextEncoder().encode("twice");
    const expected = { size: bytes.length, digest: digestOf(bytes) };
    const writer = await content.writer("two", expected);
    await writer.write(bytes);
    await writer.commit({ ...expected, labels: LEFT });
    await assert.rejects(content.writer("three", expected), (thrown) => codeOf(thrown) === "already_exists");
    await content.delete(expected.digest);
  });

  test("another digest or size than announced makes no blob", async () => {
    const content = open();
    const bytes = new TextEncoder().encode("something else");
    const wrong = `sha256:${"0".repeat(64)}`;
    for (const options of [
      { size: bytes.length, digest: wrong },
      { size: 3, digest: digestOf(bytes) },
    ]) {
      const writer = await content.writer(`wrong-${options.size}`, { size: 0, digest: "" });
      await writer.write(bytes);
      await assert.rejects(writer.commit({ ...options, labels: LEFT }), { code: "failed_precondition" });
      await writer.close();
      await content.abort(`wrong-${options.size}`);
    }
    await assert.rejects(content.info(digestOf(bytes)), { code: "not_found" });
  });

  test("an ingest that was left goes on where it stopped, and can be given up", async () => {
    const content = open();
    const first = await content.writer("left", { size: 0, digest: "" });
    await first.write(new TextEncoder().encode("half "));
    await first.close();
    const status = await content.status("left");
    assert.equal(status.offset, 5);
    const second = await content.writer("left", { size: 0, digest: "" });
    assert.equal(second.status.offset, 5);
    await second.write(new TextEncoder().encode("whole"));
    const digest = digestOf(new TextEncoder().encode("half whole"));
    assert.equal(await second.commit({ size: 10, digest, labels: LEFT }), digest);
    await content.delete(digest);
    const third = await content.writer("given up", { size: 0, digest: "" });
    await third.close();
    await content.abort("given up");
    await assert.rejects(content.status("given up"), { code: "not_found" });
  });

  test("labels are changed one by one, and lists are filtered by them", async () => {
    const content = open();
    const bytes = new TextEncoder().encode("labelled");
    const digest = digestOf(bytes);
    const writer = await content.writer("labelled", { size: 0, digest: "" });
    await writer.write(bytes);
    await writer.commit({ size: 0, digest: "", labels: { ...LEFT, x: "1", y: "2" } });
    const changed = await content.update({ digest, labels: { x: "3", z: "4" } }, ["labels.x", "labels.z"]);
    assert.deepEqual(changed.labels, { ...LEFT, x: "3", y: "2", z: "4" });
    const removed = await content.update({ digest, labels: { y: "" } }, ["labels.y"]);
    assert.equal(removed.labels["y"], undefined);
    assert.equal((await content.list(["labels.z==4"])).length, 1);
    assert.equal((await content.list(["labels.z==5"])).length, 0);
    await assert.rejects(content.list(["labels.z=="]), { code: "invalid_argument" });
    await content.delete(digest);
  });
}
