// Stdio URIs as clients write them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLogUri } from "./stdio/log-output.ts";
import { parseUri } from "./uri.ts";

test("a bare path is a path whatever is in it", () => {
  assert.deepEqual(parseUri("/run/f%20o?x=1"), { scheme: "", path: "/run/f%20o?x=1", query: new Map() });
});

test("paths and queries are percent-decoded, byte by byte", () => {
  const { scheme, path, query } = parseUri("binary:///usr/bin/log%20ger?a=1&b%3D=%C3%BC+x&a=2&flag");
  assert.deepEqual([scheme, path], ["binary", "/usr/bin/log ger"]);
  assert.deepEqual(
    [...query],
    [
      ["a", "1"],
      ["b=", "ü x"],
      ["flag", ""],
    ],
  );
  assert.throws(() => parseUri("file:///a%zz"), /invalid URL escape/);
});

test("a log's URI has defaults and refuses what is no absolute path or positive number", () => {
  assert.deepEqual(parseLogUri("json-file:///a/b.log"), {
    format: "json-file",
    attrs: {},
    path: "/a/b.log",
    maxSize: 20 << 20,
    maxFiles: 5,
    attach: null,
  });
  const full = parseLogUri("local:///a%3Fb?max-size=10&max-file=1&attach=%2Frun%2Fs&attrs=%7B%22a%22%3A%22b%22%7D");
  const paths = { path: "/a?b", attach: "/run/s" };
  assert.deepEqual(full, { format: "local", ...paths, maxSize: 10, maxFiles: 1, attrs: { a: "b" } });
  assert.equal(parseLogUri("json-file:///a?max-size=-1").maxSize, Number.POSITIVE_INFINITY);
  for (const bad of [
    "json-file://a",
    "json-file:///a?max-size=0",
    "json-file:///a?max-file=-1",
    "json-file:///a?attach=b",
    "json-file:///a?attrs=[]",
    "json-file:///a?attrs={%22a%22:1}",
  ]) {
    assert.throws(() => parseLogUri(bad), /not an? (absolute path|positive number|object of strings)/);
  }
});
