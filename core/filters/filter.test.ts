// Filter expressions: what they hold for, and what is no expression.

import assert from "node:assert/strict";
import test from "node:test";
import { fieldReader, parseFilters } from "./filter.ts";

const record = fieldReader({ name: "foo", topic: "/tasks/exit", namespace: "moby" }, { "a.b/c": "x", plain: "y" });

const cases: [expressions: string[], holds: boolean][] = [
  [[], true],
  [["name==foo"], true],
  [["name==bar"], false],
  [["name!=bar"], true],
  [['labels."a.b/c"==x'], true],
  [["labels.plain"], true],
  [["labels.missing"], false],
  [["namespace==moby,topic~=|^/tasks/|"], true],
  [["namespace==moby,topic~=/^\\/images\\//"], false],
  [["name==bar", "namespace==moby"], true],
  [['name~="^f(o+)$"'], true],
];

for (const [expressions, holds] of cases) {
  test(`the filter [${expressions.join(" or ")}] ${holds ? "holds" : "does not hold"}`, () => {
    assert.equal(parseFilters(expressions)(record), holds);
  });
}

for (const broken of ["==x", "name==", 'name=="x', "name~=/(/", "name==a b", "a..b"]) {
  test(`the broken filter ${broken} is an invalid argument`, () => {
    assert.throws(() => parseFilters([broken]), { code: "invalid_argument" });
  });
}
