// Reading config.json: exact integers, names of wrong fields, mount options, seccomp rules, refusals.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJson } from "../../base/json.ts";
import { checkSpec, cleanPath, planNamespaces } from "./check.ts";
import { planMount } from "./mounts.ts";
import { maskOf, parseRanges } from "./ranges.ts";
import { readSpec } from "./schema.ts";
import { compileRules, readSeccomp } from "./seccomp.ts";

const read = (text: string) => readSpec(parseJson(text), "");

test("64-bit integers are exact, absent and null fields take their defaults, unknown ones are ignored", () => {
  const spec = read(
    '{"process":{"rlimits":[{"type":"RLIMIT_CORE","soft":18446744073709551615,"hard":9007199254740993}],' +
      '"args":null,"user":{}},"linux":{"resources":{"memory":{"limit":-1}},"seccomp":null},"someday":1}',
  );
  assert.deepEqual(spec.process!.rlimits, [{ type: "RLIMIT_CORE", soft: 2n ** 64n - 1n, hard: 9007199254740993n }]);
  assert.deepEqual(spec.process!.args, []);
  assert.equal(spec.linux!.resources!.memory!.limit, -1n);
  assert.equal(spec.linux!.seccomp, null);
});

for (const [text, message] of [
  ['{"process":{"user":{"uid":4294967296}}}', /process\.user\.uid must be an integer from 0 to 4294967295/],
  ['{"process":{"user":{"additionalGids":[0,-1]}}}', /process\.user\.additionalGids\[1\]/],
  ['{"process":{"env":["A=1",2]}}', /process\.env\[1\] must be a text, not 2/],
  ['{"linux":{"resources":{"memory":{"limit":9223372036854775808}}}}', /linux\.resources\.memory\.limit/],
  ['{"mounts":[{"type":"proc"}]}', /mounts\[0\]\.destination must be a text, not absent/],
  ['{"hooks":{"prestart":{}}}', /hooks\.prestart must be a list, not an object/],
] as const) {
  test(`a wrong field is named: ${text}`, () => assert.throws(() => read(text), message));
}

const mountSpec = (type: string, ...options: string[]) => {
  return { destination: "/x", type, source: "s", options, uidMappings: [], gidMappings: [] };
};
const mount = (type: string, ...options: string[]) => planMount(mountSpec(type, ...options));

test("mount options become attributes, superblock flags, propagation and data", () => {
  const plan = mount("tmpfs", "nosuid", "ro", "strictatime", "mode=755", "size=64k", "rshared");
  assert.equal(plan.set, 1 | 2 | 0x20);
  assert.deepEqual(plan.options, ["mode=755", "size=64k", "ro"]);
  assert.deepEqual(plan.propagation, [{ flag: 1 << 20, recursive: true }]);
});

test("a later option takes back an earlier one, and r-words speak for the tree", () => {
  const plan = mount("none", "rbind", "ro", "rw", "rro", "rnoatime");
  assert.deepEqual([plan.bind, plan.recursive, plan.set, plan.clear], [true, true, 0, 1]);
  assert.equal(plan.treeSet, 1 | 0x10);
});

test("a long integer is exact wherever it stands", () => {
  for (let before = 0; before < 40; before++) {
    const padding = "x".repeat(before);
    assert.deepEqual(parseJson(`{"a":"${padding}","b":9007199254740993}`), { a: padding, b: 9007199254740993n });
  }
});

test("each container's absent lists are its own, and a field that objects inherit is none of config.json", () => {
  const [one, other] = [read('{"constructor":1,"__proto__":{"hostname":"x"}}'), read("{}")];
  one.mounts.push(mountSpec("tmpfs"));
  assert.deepEqual([other.mounts, one.hostname], [[], ""]);
});

test("id mappings are for binds alone", () => {
  assert.throws(() => mount("tmpfs", "idmap"), /id-mapped mounts are only supported for bind-mounts/);
});

test("a seccomp rule that compares one argument twice becomes one rule for each comparison", () => {
  const args = [1, 2].map((value) => ({ index: 0, value, op: "SCMP_CMP_EQ" }));
  const flat = compileRules(
    readSeccomp(
      {
        defaultAction: "SCMP_ACT_ERRNO",
        defaultErrnoRet: 38,
        syscalls: [
          { names: ["clone"], action: "SCMP_ACT_ALLOW", args },
          { names: ["clone"], action: "SCMP_ACT_ERRNO", errnoRet: 38 },
        ],
      },
      "linux.seccomp",
    ),
  );
  assert.equal(flat.defaultAction, 0x00050000 + 38);
  assert.equal(flat.rules.length, 2 * (16 + 24));
});

test("namespaces, sysctls and propagation are checked with the original's words", () => {
  const linux = (text: string) => read(`{"linux":${text}}`).linux!;
  assert.throws(
    () => planNamespaces(linux('{"namespaces":[{"type":"foo"}]}')),
    /namespace \{"foo" ""\} does not exist/,
  );
  const check = (text: string) => {
    const spec = read(text);
    checkSpec(spec, spec.linux!, planNamespaces(spec.linux!));
  };
  assert.throws(() => check('{"hostname":"a","linux":{}}'), /without a private UTS namespace/);
  assert.throws(
    () => check('{"linux":{"sysctl":{"kernel.shmmax":"1"}}}'),
    /sysctl "kernel.shmmax" is not allowed in the hosts ipc namespace/,
  );
  check('{"linux":{"sysctl":{"kernel.shmmax":"1"},"namespaces":[{"type":"ipc"}]}}');
});

for (const [text, numbers] of [
  ["", []],
  ["0-3,7", [0, 1, 2, 3, 7]],
  ["7, 1 ,1-2,", [1, 2, 7]],
] as const) {
  test(`a list of processors is read: "${text}"`, () => assert.deepEqual(parseRanges(text), numbers));
}

for (const text of ["x", "3-1", "-1", "0-70000", ",", "0-9876543210"]) {
  test(`what is no list of processors is refused: "${text}"`, () => assert.throws(() => parseRanges(text), /in set/));
}

test("a mask has whole words of 64 bits", () => {
  assert.deepEqual([...maskOf([0, 9])], [1, 2, 0, 0, 0, 0, 0, 0]);
  assert.equal(maskOf([64]).length, 16);
});

test("paths are cleaned lexically", () => assert.equal(cleanPath("//a/./b/../../../c/"), "/c"));
