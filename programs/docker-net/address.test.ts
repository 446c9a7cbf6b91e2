// Choosing pools and addresses.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as ip from "./address.ts";

const prefix = (text: string) => ip.parsePrefix(text).prefix;

test("the first pool is 172.17.0.0/16, and one that overlaps something is passed over", () => {
  assert.equal(ip.formatPrefix(ip.choosePool([])), "172.17.0.0/16");
  assert.equal(ip.formatPrefix(ip.choosePool([prefix("172.17.128.0/24"), prefix("172.18.0.0/15")])), "172.20.0.0/16");
  assert.equal(ip.formatPrefix(ip.choosePool([prefix("172.16.0.0/12")])), "192.168.0.0/20");
  assert.equal(ip.formatPrefix(ip.choosePool([prefix("172.16.0.0/12"), prefix("192.168.0.0/20")])), "192.168.16.0/20");
});

test("when everything is taken it is an error", () => {
  assert.throws(
    () => ip.choosePool([prefix("128.0.0.0/1")]),
    /could not find an available, non-overlapping IPv4 address pool/,
  );
});

test("a prefix of any length keeps its network, and an address in it comes back", () => {
  assert.deepEqual(ip.parsePrefix("255.255.255.250/30"), {
    prefix: { network: 0xfffffff8, length: 30 },
    address: 0xfffffffa,
  });
  assert.deepEqual(ip.parsePrefix("10.80.3.9/24").address, ip.parseInet4("10.80.3.9"));
  for (const bad of ["", "10.0.0.0", "10.0.0.0/", "10.0.0.0/31", "10.0.0.0/0", "10.0.0/8", "10.0.0.0/8/8", "::/64"]) {
    assert.throws(() => ip.parsePrefix(bad), /invalid CIDR address/, bad);
  }
});

test("the lowest free address is given, and the last one of a subnet is its broadcast address", () => {
  const small = prefix("10.0.0.0/29");
  const taken = new Set<number>();
  const given: string[] = [];
  for (let next = ip.lowestFree(small, taken); next !== null; next = ip.lowestFree(small, taken)) {
    taken.add(next);
    given.push(ip.formatInet4(next));
  }
  assert.deepEqual(given, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
  taken.delete(ip.parseInet4("10.0.0.3")!);
  assert.equal(ip.lowestFree(small, taken), ip.parseInet4("10.0.0.3"));
});

test("a hardware address is 02:42 and the address", () => {
  assert.equal(ip.formatMac(ip.macOf(ip.parseInet4("172.17.0.2")!)), "02:42:ac:11:00:02");
  assert.equal(ip.formatMac(ip.macOf(ip.parseInet4("192.168.255.254")!)), "02:42:c0:a8:ff:fe");
});
