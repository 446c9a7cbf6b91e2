// What comes to a shim's socket besides a daemon: crowds, garbage, peers that say half or never listen. The container
// is never harmed, the daemon still served, and afterwards the shim is as small as before.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { StateRequest, Task, WaitRequest } from "../../api/task/gen/task_v3.ts";
import { type KeyValue, Request, Response } from "../../api/wellknown/gen/ttrpc.ts";
import { codeOf, messageOf } from "../../base/errors.ts";
import { encodeFrame, FRAME_REQUEST } from "../../wire/ttrpc/frame.ts";
import { ShimLab, skip } from "./shim-lab.ts";

async function running(): Promise<ShimLab> {
  const lab = await ShimLab.start(["/bin/sleep", "1000"]);
  await lab.create();
  await lab.task.start({ id: lab.id });
  await sleep(100);
  return lab;
}

function socketOf(lab: ShimLab): string {
  return lab.address.replace(/^unix:\/\//, "");
}

/** Private memory of the shim in kilobytes. */
function memory(lab: ShimLab): number {
  return Number(/^Anonymous:\s+(\d+)/m.exec(readFileSync(`/proc/${lab.shimPid}/smaps_rollup`, "utf8"))![1]);
}

/** However busy the machine: what was taken comes back. */
function small(lab: ShimLab, before: number, more: number): Promise<void> {
  return lab.eventually(`less than ${before + more} kB`, () => memory(lab) < before + more, 30_000);
}

interface Stranger {
  socket: Socket;
  received: () => Buffer;
  closed: () => boolean;
}

function stranger(lab: ShimLab): Promise<Stranger> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    let closed = false;
    const socket = connect(socketOf(lab), () => resolve({ socket, received: () => received, closed: () => closed }));
    socket.on("data", (part) => {
      received = Buffer.concat([received, part as Buffer]);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      closed = true;
    });
  });
}

function crowd(lab: ShimLab, count: number): Promise<Stranger[]> {
  return Promise.all(Array.from({ length: count }, () => stranger(lab)));
}

function request(streamId: number, method: string, payload: Uint8Array, more: Partial<Request> = {}): Uint8Array {
  const whole = { service: Task.name, method, payload, timeoutNano: 0n, metadata: [], ...more };
  return encodeFrame(streamId, FRAME_REQUEST, Request.encode(whole));
}

/** The first answer in what was received. */
function answerIn(received: Buffer): Response {
  return Response.decode(new Uint8Array(received.subarray(10, 10 + received.readUInt32BE(0))));
}

async function unharmed(lab: ShimLab): Promise<void> {
  assert.equal((await lab.task.state({ id: lab.id }, { timeout: 10_000 })).status, 2);
}

test("a thousand connections at once are all served, and then the shim is small again", { skip }, async () => {
  await using lab = await running();
  const [before, descriptors] = [memory(lab), lab.descriptors().length];
  for (let round = 0; round < 3; round++) {
    const all = await crowd(lab, 1000);
    for (const { socket } of all) socket.write(request(1, "State", StateRequest.encode({ id: lab.id, execId: "" })));
    await lab.eventually("a thousand answers", () => all.every(({ received }) => received().length > 10), 30_000);
    assert(all.every(({ received }) => answerIn(received()).status === null));
    await unharmed(lab);
    for (const { socket } of all) socket.destroy();
    await lab.eventually("the end of the connections", () => lab.descriptors().length === descriptors);
  }
  // The first chunk of the allocator stays; a thousand connections took ten times as much.
  await small(lab, before, 2000);
});

test("a crowd beyond the limit loses its own idle connections, never the daemon's", { skip }, async () => {
  await using lab = await running();
  // Another process, as the daemon is to a stranger.
  const script = `
    const sockets = Array.from({ length: 3000 }, () => require("node:net").connect(${JSON.stringify(socketOf(lab))}));
    let closed = 0;
    for (const socket of sockets) socket.on("error", () => {}).on("close", () => closed++);
    const look = (left) => {
      if (closed < 900 && left > 0) return setTimeout(look, 100, left - 1);
      console.log(closed);
      process.exit(0);
    };
    look(200);`;
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (part: Buffer) => (output += part));
  await new Promise((resolve) => child.once("exit", resolve));
  assert(Number(output) >= 900, `${output} of 3000 were closed`);
  await unharmed(lab);
});

test("garbage ends its own connection at most, whatever it is and wherever it stops", { skip }, async () => {
  await using lab = await running();
  const good = Buffer.from(request(1, "State", StateRequest.encode({ id: lab.id, execId: "" })));
  const pieces: Buffer[] = [
    Buffer.alloc(100_000, 0xff),
    Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Buffer.alloc(10),
    Buffer.concat([good.subarray(0, 8), Buffer.from([9, 9]), good.subarray(10)]),
    Buffer.concat([good.subarray(0, 10), Buffer.alloc(good.length - 10, 0x80)]),
    ...Array.from({ length: good.length }, (_, at) => good.subarray(0, at)),
  ];
  for (const piece of pieces) {
    const { socket } = await stranger(lab);
    socket.end(piece);
  }
  await unharmed(lab);
  await lab.eventually("the end of the connections", () => lab.descriptors().filter(isSocket).length < 8);
});

const isSocket = (name: string) => name.startsWith("socket:");

test("frames cut anywhere and sent byte by byte are put together, two calls at a time", { skip }, async () => {
  await using lab = await running();
  const slow = await stranger(lab);
  const state = StateRequest.encode({ id: lab.id, execId: "" });
  const bytes = Buffer.concat([request(1, "State", state), request(3, "State", state)]);
  for (const byte of bytes) {
    slow.socket.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await lab.eventually("two answers", () => slow.received().length > 0 && frames(slow.received()) === 2);
  slow.socket.destroy();
});

function frames(received: Buffer): number {
  let [count, at] = [0, 0];
  for (; at + 10 <= received.length; count++) at += 10 + received.readUInt32BE(at);
  return at === received.length ? count : -1;
}

test("a message of four megabytes is taken, a larger one refused alone, a false length ends it", { skip }, async () => {
  await using lab = await running();
  const peer = await stranger(lab);
  const large = new Uint8Array((4 << 20) - 100);
  peer.socket.write(request(1, "State", StateRequest.encode({ id: lab.id, execId: "" }), { metadata: [] }));
  peer.socket.write(encodeFrame(3, FRAME_REQUEST, large));
  const header = Buffer.alloc(10);
  header.writeUInt32BE(5 << 20, 0);
  header.writeUInt32BE(5, 4);
  header[8] = FRAME_REQUEST;
  peer.socket.write(Buffer.concat([header, Buffer.alloc(5 << 20)]));
  peer.socket.write(request(7, "State", StateRequest.encode({ id: lab.id, execId: "" })));
  await lab.eventually("four answers", () => frames(peer.received()) === 4);
  header.writeUInt32BE(0x7fffffff, 0);
  peer.socket.write(header);
  await lab.eventually("the end", () => peer.closed());
  await unharmed(lab);
});

test("unknown services and methods, strange streams and times are answered in words", { skip }, async () => {
  await using lab = await running();
  const state = StateRequest.encode({ id: lab.id, execId: "" });
  const far = { timeoutNano: 2n ** 63n - 1n };
  const metadata: KeyValue[] = [
    { key: "__proto__", value: "x" },
    { key: "constructor", value: "x" },
    { key: "", value: "" },
    { key: "containerd-namespace-ttrpc", value: "\u0000../../x".repeat(1000) },
  ];
  const cases: [Uint8Array, number, RegExp][] = [
    [request(1, "State", state, { service: "no.such.Service" }), 12, /service no.such.Service/],
    [request(1, "Dance", state), 12, /method Dance/],
    [request(1, "__proto__", state), 12, /method __proto__/],
    [request(2, "State", state), 3, /must be odd/],
    [request(1, "State", new Uint8Array([0xff, 0xff])), 3, /protobuf/],
    [request(1, "Wait", WaitRequest.encode({ id: lab.id, execId: "" }), { timeoutNano: 1n }), 4, /deadline exceeded/],
    [request(1, "State", state, far), 0, /^$/],
    [request(1, "State", state, { timeoutNano: -(2n ** 63n) }), 0, /^$/],
    [request(1, "State", state, { metadata }), 0, /^$/],
  ];
  for (const [bytes, code, words] of cases) {
    const peer = await stranger(lab);
    peer.socket.write(bytes);
    await lab.eventually(`an answer for ${words}`, () => frames(peer.received()) === 1);
    const { status } = answerIn(peer.received());
    assert.deepEqual([status?.code ?? 0, words.test(status?.message ?? "")], [code, true], status?.message ?? "");
    peer.socket.destroy();
  }
});

test("a request of two million list elements is refused instead of being unfolded", { skip }, async () => {
  await using lab = await running();
  const before = memory(lab);
  const peer = await stranger(lab);
  // Field 5, metadata: empty pairs of two bytes each.
  const bomb = Buffer.alloc((4 << 20) - 16);
  for (let at = 0; at < bomb.length; at += 2) bomb[at] = 0x2a;
  peer.socket.write(encodeFrame(1, FRAME_REQUEST, bomb));
  await lab.eventually("the refusal", () => frames(peer.received()) === 1);
  assert.match(answerIn(peer.received()).status!.message, /too many elements/);
  peer.socket.destroy();
  await unharmed(lab);
  await small(lab, before, 3000);
});

test("calls that nobody lets end are refused beyond a bound, and forgotten with their connection", {
  skip,
}, async () => {
  await using lab = await running();
  const before = memory(lab);
  const wait = WaitRequest.encode({ id: lab.id, execId: "" });
  const waits = Buffer.concat(Array.from({ length: 1024 }, (_, at) => request(2 * at + 1, "Wait", wait)));
  for (let round = 0; round < 4; round++) {
    const all = await crowd(lab, 10);
    for (const { socket } of all) socket.write(waits);
    await lab.eventually("refusals", () => all.some(({ received }) => frames(received()) > 0));
    const refused = all.find(({ received }) => frames(received()) > 0)!;
    assert.match(answerIn(refused.received()).status!.message, /more than 4096 unanswered requests/);
    for (const { socket } of all) socket.destroy();
    await sleep(300);
    await unharmed(lab);
  }
  // What the allocator keeps of four thousand calls, once, however often they come.
  await small(lab, before, 8000);
});

test("peers that never read their answers, and unfinished messages, take bounded memory", { skip }, async () => {
  await using lab = await running();
  const before = memory(lab);
  const deaf = await crowd(lab, 40);
  const stats = Buffer.concat(
    Array.from({ length: 500 }, (_, at) =>
      request(2 * at + 1, "Stats", StateRequest.encode({ id: lab.id, execId: "" })),
    ),
  );
  const half = Buffer.alloc(10 + (1 << 20));
  half.writeUInt32BE(4 << 20, 0);
  half.writeUInt32BE(1, 4);
  half[8] = FRAME_REQUEST;
  for (const [at, { socket }] of deaf.entries()) {
    socket.pause();
    socket.write(at % 2 === 0 ? stats : half);
  }
  await sleep(1000);
  await unharmed(lab);
  // Each bound is 16 MiB; the rest is what QuickJS needs for it.
  assert(memory(lab) < 80_000, `${memory(lab)} kB`);
  for (const { socket } of deaf) socket.destroy();
  await sleep(500);
  await unharmed(lab);
  await small(lab, before, 3000);
});

test("a peer of another user is turned away, though the path be open", { skip }, async () => {
  await using lab = await running();
  const path = socketOf(lab);
  chmodSync(lab.folder, 0o755);
  chmodSync(join(lab.folder, "s"), 0o755);
  chmodSync(path, 0o666);
  const script = `const s = require("node:net").connect(${JSON.stringify(path)}, () => s.write(Buffer.alloc(10)));
    s.on("error", (e) => { console.log(e.code); }).on("data", () => console.log("data"));
    s.on("close", () => console.log("closed"));`;
  const other = { uid: 65534, gid: 65534, cwd: "/", encoding: "utf8" } as const;
  const copy = spawnSync(process.execPath, ["-e", script], { ...other, timeout: 60_000 });
  if (copy.error !== undefined) return;
  assert.match(copy.stdout, /closed\n$/);
  assert.doesNotMatch(copy.stdout, /data/);
  await unharmed(lab);
});

test("out of descriptors, the container can still be asked for and killed", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "1000"], (config) => {
    config.process.rlimits = [];
  });
  const limit = spawnSync("prlimit", ["--pid", String(lab.shimPid), "--nofile=100:100"]);
  if (limit.status !== 0) return;
  await lab.create();
  await lab.task.start({ id: lab.id });
  const all = await crowd(lab, 200);
  await sleep(300);
  await unharmed(lab);
  for (const { socket } of all) socket.destroy();
  await sleep(300);
  await lab.task.kill({ id: lab.id, signal: 9 });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 137);
});

test("the shim's own need of descriptors is not the container's limit", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "ulimit -n; ulimit -Hn"], (config) => {
    config.process.rlimits = [];
  });
  const log = join(lab.folder, "out");
  await lab.create({ stdout: `file://${log}` });
  await lab.task.start({ id: lab.id });
  await lab.task.wait({ id: lab.id });
  const mine = spawnSync("/bin/sh", ["-c", "ulimit -n; ulimit -Hn"], { encoding: "utf8" }).stdout;
  assert.equal(readFileSync(log, "utf8"), mine);
});

test("a call is not answered twice, and a stream's number is not used again while it is open", { skip }, async () => {
  await using lab = await running();
  const peer = await stranger(lab);
  const wait = WaitRequest.encode({ id: lab.id, execId: "" });
  peer.socket.write(Buffer.concat([request(1, "Wait", wait), request(1, "Wait", wait)]));
  await lab.eventually("the refusal", () => frames(peer.received()) === 1);
  assert.match(answerIn(peer.received()).status!.message, /cannot be re-used/);
  await assert.rejects(lab.task.wait({ id: lab.id }, { timeout: 50 }), (thrown) => {
    assert.deepEqual([codeOf(thrown), messageOf(thrown)], ["deadline_exceeded", "context deadline exceeded"]);
    return true;
  });
  peer.socket.destroy();
});
