// What every store of plain records does, ours and the original's: containers, images, namespaces, leases.
// Registered by tests that have one (test/swap/nouns.test.ts).

import assert from "node:assert/strict";
import { test } from "node:test";
import type { NamespaceStore } from "../namespaces/namespaces.ts";
import type { Nouns } from "../remote.ts";
import type { NewContainer } from "./containers.ts";

const spec = {
  typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Spec",
  value: new TextEncoder().encode('{"ociVersion":"1.0.2"}'),
};
const plain: NewContainer = {
  ...{ id: "plain", labels: { a: "b" }, image: "some/image", snapshotter: "", snapshotKey: "", sandbox: "" },
  ...{ runtime: { name: "io.containerd.runc.v2", options: null }, spec, extensions: {} },
};
const target = {
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  digest: `sha256:${"1".repeat(64)}`,
  size: 7,
};

export function recordConformance(open: () => Nouns & { namespaces: NamespaceStore }): void {
  containerTests(open);
  imageTests(open);

  test("a namespace has labels and goes only when it is empty", async () => {
    const { namespaces } = open();
    await namespaces.create({ name: "roomy", labels: { a: "b" } });
    await assert.rejects(namespaces.create({ name: "roomy", labels: {} }), { code: "already_exists" });
    await assert.rejects(namespaces.create({ name: "bad name", labels: {} }), { code: "invalid_argument" });
    assert.deepEqual((await namespaces.get("roomy")).labels, { a: "b" });
    await namespaces.update({ name: "roomy", labels: { c: "d" } }, ["labels.c"]);
    assert.deepEqual((await namespaces.get("roomy")).labels, { a: "b", c: "d" });
    assert((await namespaces.list("")).some((one) => one.name === "roomy"));
    await namespaces.delete("roomy");
    await assert.rejects(namespaces.delete("roomy"), { code: "not_found" });
  });

  test("a lease holds resources until it is deleted", async () => {
    const { leases } = open();
    const lease = await leases.create({ id: "held", labels: { a: "b" } });
    assert.equal(lease.id, "held");
    await assert.rejects(leases.create({ id: "held", labels: {} }), { code: "already_exists" });
    await leases.addResource("held", { type: "content", id: target.digest });
    await leases.addResource("held", { type: "snapshots/overlayfs", id: "key" });
    assert.equal((await leases.listResources("held")).length, 2);
    await leases.deleteResource("held", { type: "snapshots/overlayfs", id: "key" });
    assert.deepEqual(await leases.listResources("held"), [{ type: "content", id: target.digest }]);
    assert.equal((await leases.list(["labels.a==b"])).length, 1);
    await leases.delete("held", true);
    await assert.rejects(leases.delete("held", true), { code: "not_found" });
  });
}

function containerTests(open: () => Nouns): void {
  test("a container's record comes back as it was given, and changes field by field", async () => {
    const { containers } = open();
    const made = await containers.create(plain);
    assert.deepEqual([made.id, made.labels, made.image], ["plain", { a: "b" }, "some/image"]);
    const got = await containers.get("plain");
    assert.deepEqual(Buffer.from(got.spec!.value), Buffer.from(spec.value));
    assert.equal(got.spec!.typeUrl, spec.typeUrl);
    await assert.rejects(containers.create(plain), { code: "already_exists" });
    const next = await containers.update({ ...plain, labels: { c: "d" }, image: "ignored" }, ["labels.c"]);
    assert.deepEqual([next.labels, next.image], [{ a: "b", c: "d" }, "some/image"]);
    const other = { ...plain, extensions: { ext: { typeUrl: "some.Type", value: Uint8Array.of(0, 1, 255) } } };
    const extended = await containers.update(other, ["extensions.ext"]);
    assert.deepEqual([...extended.extensions["ext"]!.value], [0, 1, 255]);
    assert.equal((await containers.list(["id==plain", "id==other"])).length, 1);
    assert.equal((await containers.list(["labels.c==x"])).length, 0);
    await containers.delete("plain");
    await assert.rejects(containers.get("plain"), { code: "not_found" });
    await assert.rejects(containers.delete("plain"), { code: "not_found" });
  });

  for (const [what, change] of [
    ["no name", { id: "" }],
    ["a name with a slash", { id: "a/b" }],
    ["no runtime", { id: "x", runtime: { name: "", options: null } }],
    ["a label of five kilobytes", { id: "y", labels: { long: "x".repeat(5000) } }],
  ] as const) {
    test(`a container with ${what} is an invalid argument`, async () => {
      await assert.rejects(open().containers.create({ ...plain, ...change }), { code: "invalid_argument" });
    });
  }
}

function imageTests(open: () => Nouns): void {
  test("an image is a name for a target that can move", async () => {
    const { images } = open();
    const image = { name: "docker.io/library/a:1", target, labels: { x: "y" } };
    await images.create(image);
    await assert.rejects(images.create(image), { code: "already_exists" });
    const moved = { ...target, digest: `sha256:${"2".repeat(64)}` };
    const next = await images.update({ ...image, target: moved, labels: {} }, ["target"]);
    assert.deepEqual([next.target.digest, next.labels], [moved.digest, { x: "y" }]);
    assert.equal((await images.get(image.name)).target.digest, moved.digest);
    assert.equal((await images.list(["name~=^docker"])).length, 1);
    await images.delete(image.name, { sync: true });
    await assert.rejects(images.get(image.name), { code: "not_found" });
    await assert.rejects(images.delete(image.name, { sync: true }), { code: "not_found" });
  });
}
