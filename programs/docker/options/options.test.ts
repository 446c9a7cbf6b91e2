// Values of flags that have a form of their own, against the original's results and words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { timeArgument } from "../commands/time.ts";
import { parseHost } from "../config/endpoint.ts";
import { sha256Hex } from "../config/sha256.ts";
import { familiarReference, parseReference, repositoryOf } from "../reference.ts";
import { DetachScanner, parseDetachKeys } from "../stream/detach.ts";
import { absolutePath } from "./containerBody.ts";
import { parseMount } from "./mount.ts";
import { parseNetwork } from "./network.ts";
import { parsePublished } from "./publish.ts";
import { isAddress, parseCpus, parseDevice, parseRestart, parseUlimit } from "./values.ts";

test("a published port gets its address, range and protocol", () => {
  assert.deepEqual(parsePublished(["127.0.0.1:8080-8081:80-81/udp"]).bindings, {
    "80/udp": [{ HostIp: "127.0.0.1", HostPort: "8080" }],
    "81/udp": [{ HostIp: "127.0.0.1", HostPort: "8081" }],
  });
  assert.deepEqual(parsePublished(["8000-8010:80"]).bindings, { "80/tcp": [{ HostIp: "", HostPort: "8000-8010" }] });
  assert.deepEqual(parsePublished(["[::1]:1:2"]).bindings, { "2/tcp": [{ HostIp: "::1", HostPort: "1" }] });
});

const BAD_PORTS: [spec: string, words: string][] = [
  ["x", "invalid containerPort: x"],
  ["x:80", "invalid hostPort: x"],
  ["80:70000", "invalid containerPort: 70000"],
  ["1-2:3-5", "invalid ranges specified for container and host Ports: 3-5 and 1-2"],
  ["80/icmp", "invalid proto: icmp"],
  ["1.2.3:1:2", "invalid IP address: 1.2.3"],
  ["", "no port specified: <empty>"],
];

for (const [spec, words] of BAD_PORTS) {
  test(`the port ${JSON.stringify(spec)} is refused`, () => {
    assert.throws(() => parsePublished([spec]), { message: words });
  });
}

test("a mount is read field by field", () => {
  assert.deepEqual(parseMount("type=bind,source=/a,target=/b,readonly"), {
    Type: "bind",
    Source: "/a",
    Target: "/b",
    ReadOnly: true,
  });
  assert.deepEqual(parseMount("type=tmpfs,dst=/t,tmpfs-mode=1770,tmpfs-size=1m").TmpfsOptions, {
    Mode: 0o1770,
    SizeBytes: 1 << 20,
  });
  for (const text of [
    "",
    "type=bind",
    "nonsense",
    "type=bind,target=/x,volume-nocopy=true",
    "target=/x,constructor=1",
  ]) {
    assert.throws(() => parseMount(text), Error);
  }
});

test("networks in the long form carry their options", () => {
  const network = parseNetwork("name=web,alias=A,ip=10.0.0.2,driver-opt=K=V");
  assert.equal(network.target, "web");
  assert.deepEqual([network.aliases, network.ip, network.driverOptions], [["a"], "10.0.0.2", { k: "v" }]);
  assert.throws(() => parseNetwork("alias=a"), { message: "network name/id is not specified" });
});

test("limits, devices, processors and policies are read as the original reads them", () => {
  assert.deepEqual(parseUlimit("nofile=10:20"), { Name: "nofile", Soft: 10, Hard: 20 });
  assert.throws(() => parseUlimit("nofile=20:10"), /must be less than or equal/);
  assert.deepEqual(parseDevice("/dev/null:r"), {
    PathOnHost: "/dev/null",
    PathInContainer: "/dev/null",
    CgroupPermissions: "r",
  });
  assert.equal(parseCpus("1.5"), 1_500_000_000);
  assert.throws(() => parseCpus("0.0000000001"), { message: "value is too precise" });
  assert.deepEqual(parseRestart("on-failure:3"), { Name: "on-failure", MaximumRetryCount: 3 });
  for (const text of ["1.2.3.4", "::", "fe80::1", "1:2:3:4:5:6:7:8"]) assert.ok(isAddress(text), text);
  for (const text of ["1.2.3", "256.1.1.1", "1:2", "1::2::3", "01.2.3.4", "x"]) assert.ok(!isAddress(text), text);
});

test("names of images get what goes without saying", () => {
  const full = (text: string) => {
    const reference = parseReference(text);
    return [repositoryOf(reference), familiarReference(reference)];
  };
  assert.deepEqual(full("busybox"), ["docker.io/library/busybox", "busybox:latest"]);
  assert.deepEqual(full("a/b:c"), ["docker.io/a/b", "a/b:c"]);
  assert.deepEqual(full("localhost:5000/x"), ["localhost:5000/x", "localhost:5000/x:latest"]);
  assert.throws(() => parseReference("Bad"), /repository name \(library\/Bad\) must be lowercase/);
  for (const text of ["", "a//b", "a:", "a:b c", "-a", "a@sha256:x"]) assert.throws(() => parseReference(text), Error);
});

test("detach keys are found across reads, and a broken beginning is passed on", () => {
  const scanner = new DetachScanner(parseDetachKeys("ctrl-p,ctrl-q"));
  const push = (...bytes: number[]) => {
    const { pass, detached } = scanner.push(Uint8Array.from(bytes));
    return [[...pass], detached];
  };
  assert.deepEqual(push(97, 16), [[97], false]);
  assert.deepEqual(push(98), [[16, 98], false]);
  assert.deepEqual(push(16, 16), [[16], false]);
  assert.deepEqual(push(17), [[], true]);
  assert.throws(() => parseDetachKeys("ctrl-"), { message: "Unknown character: 'ctrl-'" });
});

test("times become seconds", () => {
  const now = Date.parse("2026-01-01T00:10:00Z");
  assert.equal(timeArgument("10m", now), `${Date.parse("2026-01-01T00:00:00Z") / 1000}.000000000`);
  assert.equal(timeArgument("2026-01-01T00:00:00.5Z", now), `${Date.parse("2026-01-01T00:00:00Z") / 1000}.500000000`);
  assert.equal(timeArgument("1700000000.25", now), "1700000000.25");
  assert.throws(() => timeArgument("soon", now), /failed to parse value as time or duration: "soon"/);
});

test("hosts are read with their defaults, and odd ones refused", () => {
  assert.equal(parseHost("", null).host, "unix:///var/run/docker.sock");
  assert.equal(parseHost("10.0.0.1", null).host, "tcp://10.0.0.1:2375");
  assert.equal(parseHost("tcp://[::1]:5/x", null).host, "tcp://[::1]:5/x");
  const ssh = parseHost("ssh://me@box:22", null);
  assert.deepEqual([ssh.kind, ssh.host], ["ssh", "ssh://me@box:22"]);
  assert.throws(() => parseHost("x:y", null), /invalid port ":y" after host/);
  assert.throws(() => parseHost("ftp://x", null), /invalid bind address format/);
});

test("a context's folder is the SHA-256 of its name", () => {
  assert.equal(sha256Hex("foo"), "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae");
  assert.equal(sha256Hex("a".repeat(200)), "c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5");
});

test("relative paths are made absolute and tidy", () => {
  assert.equal(absolutePath("/a/b", "../c/./d"), "/a/c/d");
  assert.equal(absolutePath("/a", "/x//y/.."), "/x");
});
