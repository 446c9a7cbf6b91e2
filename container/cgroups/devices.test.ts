// The device rules: their result as v1 writes and as a v2 program, which is run here by a small interpreter.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DeviceRule } from "../spec/schema.ts";
import { deviceProgram } from "./devicefilter.ts";
import { devicePolicy, deviceWrites } from "./devices.ts";
import { unifiedSwap, weightOfShares } from "./unified.ts";

const rule = (allow: boolean, type: string, numbers: string, access: string): DeviceRule => {
  const [major, minor] = numbers.split(":").map((part) => (part === "*" ? null : BigInt(part)));
  return { allow, type, major: major ?? null, minor: minor ?? null, access };
};
const DENY_ALL = rule(false, "a", "*:*", "rwm");
const ALLOW_ALL = rule(true, "a", "*:*", "rwm");

test("without rules everything is denied but what every container has", () => {
  const writes = deviceWrites(devicePolicy([])).map(([file, value]) => `${file} ${value}`);
  assert.equal(writes[0], "devices.deny a");
  assert.ok(writes.includes("devices.allow c 1:3 rwm"));
  assert.ok(writes.includes("devices.allow b *:* m"));
  assert.ok(!writes.some((write) => write.includes("b 254")));
});

test("a privileged container's rules are one write", () => {
  assert.deepEqual(deviceWrites(devicePolicy([ALLOW_ALL])), [["devices.allow", "a"]]);
});

test("a later rule takes back what an earlier one gave", () => {
  const policy = devicePolicy([DENY_ALL, rule(true, "b", "8:0", "rw"), rule(false, "b", "8:0", "w")]);
  assert.equal(policy.exceptions.get("b 8:0"), "r");
});

const TYPE = { b: 1, c: 2 };
const ACCESS: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };

/** Runs the program as the kernel would; true when it allows. */
function asks(rules: readonly DeviceRule[], type: "b" | "c", numbers: string, access: string): boolean {
  const [major, minor] = numbers.split(":").map(Number);
  const bits = [...access].reduce((sum, letter) => sum + ACCESS[letter]!, 0);
  const context: Readonly<Record<number, number>> = { 0: TYPE[type] + bits * 65536, 4: major!, 8: minor! };
  const program = deviceProgram(devicePolicy(rules));
  const registers = new Array<number>(11).fill(0);
  for (let at = 0; ; at++) {
    const { code, to = 0, from = 0, offset = 0, number = 0 } = program[at]!;
    if (code === 0x61) registers[to] = context[offset]!;
    else if (code === 0x54) registers[to]! &= number;
    else if (code === 0x74) registers[to]! >>>= number;
    else if (code === 0xb4) registers[to] = number;
    else if (code === 0xbc) registers[to] = registers[from]!;
    else if (code === 0x15) at += registers[to] === number ? offset : 0;
    else if (code === 0x55) at += registers[to] === number ? 0 : offset;
    else return registers[0] === 1;
  }
}

test("the v2 program answers as the rules mean", () => {
  const closed = [DENY_ALL, rule(true, "c", "10:229", "r")];
  const open = [ALLOW_ALL, rule(false, "b", "254:0", "w")];
  const cases = [
    [closed, "c", "1:3", "rw", true],
    [closed, "c", "10:229", "r", true],
    [closed, "c", "10:229", "rw", false],
    [closed, "b", "254:0", "r", false],
    [closed, "b", "254:0", "m", true],
    [closed, "c", "136:7", "rw", true],
    [open, "b", "254:0", "r", true],
    [open, "b", "254:0", "rw", false],
    [open, "c", "1:11", "rwm", true],
  ] as const;
  for (const [rules, type, numbers, access, allowed] of cases) {
    assert.equal(asks(rules, type, numbers, access), allowed, `${type} ${numbers} ${access}`);
  }
});

test("v1's units become v2's", () => {
  assert.deepEqual([2n, 1024n, 262144n, 0n].map(weightOfShares), [1n, 39n, 10000n, 1n]);
  assert.equal(unifiedSwap(50n, 80n), "30");
  assert.equal(unifiedSwap(null, -1n), "max");
  assert.equal(unifiedSwap(50n, null), null);
  assert.throws(() => unifiedSwap(50n, 40n), /memory\+swap limit should be >= memory limit/);
});
