// Names of images, long and short.

import assert from "node:assert/strict";
import { test } from "node:test";
import { familiarName, parseReference, parseTagged, storeName } from "./reference.ts";

const FULL: readonly (readonly [given: string, stored: string])[] = [
  ["busybox", "docker.io/library/busybox:latest"],
  ["busybox:1", "docker.io/library/busybox:1"],
  ["me/thing", "docker.io/me/thing:latest"],
  ["localhost/x", "localhost/x:latest"],
  ["reg:5000/a/b:t", "reg:5000/a/b:t"],
  ["index.docker.io/library/busybox", "docker.io/library/busybox:latest"],
];

for (const [given, stored] of FULL) {
  test(`${given} is stored as ${stored}`, () => assert.equal(storeName(parseTagged(given)), stored));
}

test("a stored name is shown short", () => {
  assert.equal(familiarName("docker.io/library/busybox:latest"), "busybox:latest");
  assert.equal(familiarName("reg:5000/a:b"), "reg:5000/a:b");
});

for (const wrong of ["", "UPPER", "a//b", "a:b:c d", "-x", "x@sha256:abc"]) {
  test(`${JSON.stringify(wrong)} is no name of an image`, () => assert.throws(() => parseReference(wrong)));
}
