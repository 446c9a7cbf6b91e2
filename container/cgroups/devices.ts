// The device rules of a cgroup. config.json's list is a program (later rules change earlier ones) that ends with the
// devices every container may use; what the kernel gets is its result: a default and the exceptions from it.

import type { DeviceRule } from "../spec/schema.ts";

/** Appended to every list, as runc does: mknod of anything, the standard devices, terminals. */
const ALWAYS: readonly string[] = [
  ...["c *:* m", "b *:* m", "c 1:3 rwm", "c 1:8 rwm", "c 1:7 rwm", "c 5:0 rwm", "c 1:5 rwm", "c 1:9 rwm"],
  ...["c 136:* rwm", "c 5:2 rwm"],
];
const ALWAYS_ALLOWED = ALWAYS.map((entry) => {
  const space = entry.lastIndexOf(" ");
  return { allow: true, key: entry.slice(0, space), access: entry.slice(space + 1) };
});

/** The accesses, in the kernel's order. */
const LETTERS = ["r", "w", "m"];

export interface DevicePolicy {
  allowByDefault: boolean;
  /** "c 1:3" to the accesses ("rwm") that differ from the default. */
  exceptions: Map<string, string>;
}

/** Without rules of its own, or with nothing but "none": what nearly every container has, so it is made beforehand. */
const STANDARD = policyOf([]);

export function devicePolicy(rules: readonly DeviceRule[]): DevicePolicy {
  return rules.every((rule) => !rule.allow && keyOf(rule) === null) ? STANDARD : policyOf(rules);
}

function policyOf(rules: readonly DeviceRule[]): DevicePolicy {
  const policy: DevicePolicy = { allowByDefault: false, exceptions: new Map() };
  for (const rule of rules) apply(policy, { allow: rule.allow, access: rule.access, key: keyOf(rule) });
  for (const rule of ALWAYS_ALLOWED) apply(policy, rule);
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
  let after = "";
  for (const letter of LETTERS) if (access.includes(letter) ? differs : before.includes(letter)) after += letter;
  if (after === "") policy.exceptions.delete(rule.key);
  else policy.exceptions.set(rule.key, after);
}

/** What to write, in order, into the v1 controller of a fresh cgroup: file and value. */
export function deviceWrites(policy: DevicePolicy): [file: string, value: string][] {
  return policy === STANDARD ? STANDARD_WRITES : writesOf(policy);
}

const STANDARD_WRITES = writesOf(STANDARD);

function writesOf(policy: DevicePolicy): [file: string, value: string][] {
  const [base, other] = policy.allowByDefault ? ["devices.allow", "devices.deny"] : ["devices.deny", "devices.allow"];
  const writes: [string, string][] = [[base!, "a"]];
  for (const [key, access] of policy.exceptions) writes.push([other!, `${key} ${access}`]);
  return writes;
}
