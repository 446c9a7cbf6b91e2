// The device rules of a cgroup. config.json's list is a program (later rules change earlier ones) that ends with the
// devices every container may use; what the kernel gets is its result: a default and the exceptions from it.

import type { DeviceRule } from "../spec/schema.ts";

/** Appended to every list, as runc does: mknod of anything, the standard devices, terminals. */
const ALWAYS: readonly string[] = [
  ...["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:8 rwm", "c 1:7 rwm", "c 5:0 rwm", "c 1:5 rwm", "c 1:9 rwm"],
  ...["c 136:* rwm", "c 5:2 rwm"],
];

export interface DevicePolicy {
  allowByDefault: boolean;
  /** "c 1:3" to the accesses ("rwm") that differ from the default. */
  exceptions: Map<string, string>;
}

export function devicePolicy(rules: readonly DeviceRule[]): DevicePolicy {
  const policy: DevicePolicy = { allowByDefault: false, exceptions: new Map() };
  for (const rule of rules) apply(policy, { ...rule, key: keyOf(rule) });
  for (const entry of ALWAYS) {
    const [type, numbers, access] = entry.split(" ");
    apply(policy, { allow: true, key: `${type} ${numbers}`, access: access! });
  }
  return policy;
}

function keyOf(rule: DeviceRule): string | null {
  const wildcard = rule.type === "" || rule.type === "a";
  if (wildcard) return null;
  const part = (number: bigint | null) => (number === null || number < 0n ? "*" : String(number));
  return `${rule.type === "u" ? "c" : rule.type} ${part(rule.major)}:${part(rule.minor)}`;
}

function apply(policy: DevicePolicy, rule: { allow: boolean; key: string | null; access: string }): void {
  if (rule.key === null) {
    policy.allowByDefault = rule.allow;
    policy.exceptions.clear();
    return;
  }
  const access = rule.access === "" ? "rwm" : rule.access;
  const before = policy.exceptions.get(rule.key) ?? "";
  const differs = rule.allow !== policy.allowByDefault;
  const after = [..."rwm"].filter((letter) => (access.includes(letter) ? differs : before.includes(letter)));
  if (after.length === 0) policy.exceptions.delete(rule.key);
  else policy.exceptions.set(rule.key, after.join(""));
}

/** What to write, in order, into the v1 controller of a fresh cgroup: file and value. */
export function deviceWrites(policy: DevicePolicy): [file: string, value: string][] {
  const [base, other] = policy.allowByDefault ? ["devices.allow", "devices.deny"] : ["devices.deny", "devices.allow"];
  const writes: [string, string][] = [[base!, "a"]];
  for (const [key, access] of policy.exceptions) writes.push([other!, `${key} ${access}`]);
  return writes;
}
