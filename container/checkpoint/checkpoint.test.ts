// What of checkpoints needs no kernel: criu's version and log as they are read, packets as they are written. The rest
// is test/vm/checkpoint.test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CriuOpts, CriuReq, CriuReqType, CriuResp, CriuVersion, InheritFd } from "../../api/criu/gen/rpc.ts";
import { quoteErrors } from "./log.ts";
import { cgroupModeOf } from "./settings.ts";
import { versionNumber } from "./tool.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("the request for criu's version is the two bytes that its other clients send", () => {
  assert.equal(hex(CriuReq.encode(CriuReq.create({ type: CriuReqType.VERSION }))), "080a");
});

test("a zero that was given is sent, as criu insists on required fields, and what was not given is not", () => {
  const inheritFd = [InheritFd.create({ key: "pipe:[7]", fd: 0 })];
  const opts = CriuOpts.create({ imagesDirFd: 0, manageCgroupsMode: cgroupModeOf("ignore"), inheritFd });
  const bytes = CriuReq.encode(CriuReq.create({ type: CriuReqType.RESTORE, opts }));
  assert.equal(hex(bytes), "08021214" + "0800" + "da010c" + "0a08706970653a5b375d" + "1000" + "900200");
});

test("an answer with a notification is read with its script and process", () => {
  const bytes = Buffer.from("080610012a10" + "0a0c706f73742d726573746f7265" + "1007", "hex");
  const { type, success, notify } = CriuResp.decode(bytes);
  assert.deepEqual({ type, success, notify }, { type: 6, success: true, notify: { script: "post-restore", pid: 7 } });
});

test("a release counts by its three numbers, a build between releases as the next minor one", () => {
  const version = { majorNumber: 3, minorNumber: 17, sublevel: 1 };
  assert.equal(versionNumber(CriuVersion.create(version)), 31701);
  assert.equal(versionNumber(CriuVersion.create({ ...version, sublevel: null })), 31700);
  assert.equal(versionNumber(CriuVersion.create({ ...version, gitid: "v3.17-4-gabc" })), 31800);
});

test("a cgroups mode that criu does not have is refused, also one named like a member of every object", () => {
  assert.equal(cgroupModeOf(""), 6);
  for (const word of ["hard", "constructor"]) {
    assert.throws(() => cgroupModeOf(word), /^Failure: invalid manage-cgroups-mode value$/);
  }
});

test("errors are quoted with the lines before them, and one that says more than failed is the reason", () => {
  const lines = Array.from({ length: 20 }, (_, at) => `(00.0${at}) line ${at + 1}`);
  lines[7] = "(00.07) Error (criu/tun.c:85): tun: Unable to create tun";
  lines[8] = "(00.08) Error (criu/sk-inet.c:188): inet: Connected TCP socket";
  lines[10] = "(00.10) Error (criu/cr-dump.c:1781): Dumping FAILED.";
  lines[19] = "(00.19) Error (criu/x.c:1): x: Failed to stop";
  const said: string[] = [];
  const voice = { warn: (message: string) => void said.push(message), debug: null };
  assert.equal(quoteErrors("/w/dump.log", lines.join("\n"), voice), "inet: Connected TCP socket");
  const numbers = said.map((line) => /^(\d+):/.exec(line)?.[1] ?? line);
  const quoted = [3, 4, 5, 6, 7, 8, 9, 10, 11].map(String);
  assert.deepEqual(numbers, ['--- Quoting "/w/dump.log"', ...quoted, "...", "15", "16", "17", "18", "19", "20", "---"]);
});

test("a log without an error says nothing", () => {
  const said: string[] = [];
  assert.equal(
    quoteErrors("/w/dump.log", "(0.0) fine\n", { warn: (message) => said.push(message), debug: null }),
    null,
  );
  assert.deepEqual(said, []);
});
