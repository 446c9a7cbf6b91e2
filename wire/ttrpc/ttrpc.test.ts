// Both sides of ttrpc against each other, in memory, and against damage.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Task } from "../../api/task/gen/task_v2.ts";
import { Request, Response } from "../../api/wellknown/gen/ttrpc.ts";
import { codeOf, Failure } from "../../base/errors.ts";
import type { ByteStream } from "../../base/runtime.ts";
import { streamPair } from "../../runtime/fake/stream.ts";
import { nodeClock } from "../../runtime/node/runtime.ts";
import { Cancel, type HandlersOf } from "../call.ts";
import { TtrpcClient } from "./client.ts";
import { Crowd, type Guest } from "./crowd.ts";
import { encodeFrame, FRAME_REQUEST, FrameReader } from "./frame.ts";
import { NAMESPACE_HEADER } from "./metadata.ts";
import { TtrpcServer } from "./server.ts";

function serve(handlers: HandlersOf<typeof Task>, piece?: () => number) {
  const server = new TtrpcServer(nodeClock);
  server.register(Task, handlers);
  const [near, far] = streamPair(piece);
  const done = server.serveConnection(far);
  return { server, near, done };
}

function connect(near: ByteStream) {
  return new TtrpcClient(near, { clock: nodeClock, headers: { [NAMESPACE_HEADER]: "moby" } });
}

function request(streamId: number, method: string, payload = new Uint8Array(0)) {
  const message = Request.create({ service: Task.name, method, payload });
  return encodeFrame(streamId, FRAME_REQUEST, Request.encode(message));
}

async function nextResponse(frames: FrameReader) {
  const frame = await frames.next();
  assert(frame?.payload);
  return { streamId: frame.streamId, response: Response.decode(frame.payload) };
}

const fails = (code: string, message?: RegExp) => (thrown: unknown) => {
  assert.equal(codeOf(thrown), code);
  if (message !== undefined) assert.match((thrown as Error).message, message);
  return true;
};

test("a call carries its request, its headers and its answer, whatever the sizes of the pieces", async () => {
  for (const piece of [1, 3, 7, 65536]) {
    const handlers: HandlersOf<typeof Task> = {
      async create(request, context) {
        assert.equal(context.namespace, "moby");
        assert.equal(context.headers["traceparent"], "00-1-2-01");
        assert.equal(request.stdout, "x".repeat(9000));
        return { pid: request.rootfs.length };
      },
    };
    const { near } = serve(handlers, () => piece);
    const task = connect(near).of(Task, { traceparent: "00-1-2-01" });
    const mount = { type: "bind", source: "/a", target: "", options: ["ro"] };
    const answer = await task.create({ id: "a", stdout: "x".repeat(9000), rootfs: [mount, mount] });
    assert.deepEqual(answer, { pid: 2 });
  }
});

test("calls of one connection run beside each other and are answered as they end", async () => {
  const order: string[] = [];
  const waiting = new Map<string, () => void>();
  const { near } = serve({
    async wait({ execId }) {
      await new Promise<void>((resolve) => waiting.set(execId, resolve));
      return { exitStatus: Number(execId) };
    },
    async kill({ execId }) {
      waiting.get(execId)!();
      return {};
    },
  });
  const task = connect(near).of(Task);
  const waits = ["1", "2", "3"].map((execId) =>
    task.wait({ execId }).then(({ exitStatus }) => {
      order.push(execId);
      return exitStatus;
    }),
  );
  for (const execId of ["3", "1", "2"]) await task.kill({ execId });
  assert.deepEqual(await Promise.all(waits), [1, 2, 3]);
  assert.deepEqual(order, ["3", "1", "2"]);
});

test("a failure of a handler arrives with its code and its exact sentence", async () => {
  const { near } = serve({
    async start() {
      throw new Failure("failed_precondition", "cannot start an already running container: unknown");
    },
    async pause() {
      throw new Error("plain");
    },
  });
  const task = connect(near).of(Task);
  await assert.rejects(task.start({}), fails("failed_precondition", /^cannot start an already .*: unknown$/));
  await assert.rejects(task.pause({}), fails("unknown", /^plain$/));
  await assert.rejects(task.resume({}), fails("unimplemented", /^method Resume$/));
});

test("a service nobody registered is unimplemented", async () => {
  const server = new TtrpcServer(nodeClock);
  const [near, far] = streamPair();
  void server.serveConnection(far);
  await assert.rejects(connect(near).of(Task).state({}), fails("unimplemented", /^service containerd.task.v2.Task$/));
});

test("a handler learns that its caller hung up", async () => {
  const learnt = Promise.withResolvers<boolean>();
  const { near, done } = serve({
    wait: (_request, context) =>
      new Promise((resolve) => {
        context.onCancel(() => {
          learnt.resolve(context.canceled);
          resolve({});
        });
      }),
  });
  const client = connect(near);
  const call = client.of(Task).wait({});
  await new Promise((resolve) => setTimeout(resolve, 5));
  client.close();
  await assert.rejects(call, fails("unavailable", /^ttrpc: closed$/));
  assert.equal(await learnt.promise, true);
  await done;
  await assert.rejects(client.of(Task).state({}), fails("unavailable"));
});

test("a call that takes too long ends with deadline_exceeded on both sides", async () => {
  const canceled = Promise.withResolvers<void>();
  const { near } = serve({
    wait: (_request, context) => new Promise(() => void context.onCancel(canceled.resolve)),
    state: async () => ({ pid: 7 }),
  });
  const task = connect(near).of(Task);
  await assert.rejects(task.wait({}, { timeout: 10 }), fails("deadline_exceeded"));
  await canceled.promise;
  assert.equal((await task.state({})).pid, 7);
});

test("a canceled call ends at once and the connection goes on", async () => {
  const { near } = serve({ wait: () => new Promise(() => {}), state: async () => ({ pid: 7 }) });
  const task = connect(near).of(Task);
  const cancel = new Cancel();
  const call = task.wait({}, { cancel });
  cancel.cancel();
  await assert.rejects(call, fails("canceled"));
  assert.equal((await task.state({})).pid, 7);
});

test("a request above 4 MiB is refused by its sender, an answer above it by the server", async () => {
  const { near } = serve({ state: async () => ({ stdin: "x".repeat(5 << 20) }) });
  const task = connect(near).of(Task);
  await assert.rejects(task.state({ id: "x".repeat(5 << 20) }), fails("resource_exhausted"));
  await assert.rejects(task.state({}), fails("resource_exhausted", /exceed maximum message size of 4194304/));
});

test("an oversized message is skipped and refused, and the next request of the connection is answered", async () => {
  const { near } = serve({ state: async () => ({ pid: 9 }) });
  const frames = new FrameReader(near);
  const big = new Uint8Array(10 + (5 << 20));
  new DataView(big.buffer).setUint32(0, 5 << 20);
  new DataView(big.buffer).setUint32(4, 1);
  big[8] = FRAME_REQUEST;
  await near.write(big);
  await near.write(request(3, "State"));
  const refused = await nextResponse(frames);
  assert.deepEqual([refused.streamId, refused.response.status?.code], [1, 8]);
  assert.equal((await nextResponse(frames)).streamId, 3);
});

test("each kind of damage is refused or ends its own connection, never another one", async () => {
  const { server, near } = serve({ state: async () => ({ pid: 9 }), wait: () => new Promise(() => {}) });
  const frames = new FrameReader(near);
  const noRequest = encodeFrame(1, FRAME_REQUEST, Uint8Array.of(0xff, 0xff, 0xff));
  const table: [bytes: Uint8Array, code: number, what: string][] = [
    [noRequest, 3, "bytes that are no request"],
    [request(2, "State"), 3, "an even stream id"],
    [request(3, "Nothing"), 12, "an unknown method"],
    [request(5, "State", Uint8Array.of(0x0a, 0x7f, 1)), 3, "a payload that is no StateRequest"],
    [encodeFrame(7, 3, new Uint8Array(4)), 3, "data for no stream"],
  ];
  for (const [bytes, code, what] of table) {
    await near.write(bytes);
    assert.equal((await nextResponse(frames)).response.status?.code, code, what);
  }
  await near.write(request(9, "Wait"));
  await near.write(request(9, "State"));
  assert.equal((await nextResponse(frames)).response.status?.code, 3, "a stream id in use");
  await near.write(encodeFrame(11, 77, new Uint8Array(3)));
  await near.write(request(13, "State"));
  assert.equal((await nextResponse(frames)).streamId, 13, "a frame of an unknown type is ignored");

  for (const garbage of [
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "\x00\x00\x00\x05\x00",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03",
  ]) {
    const [other, far] = streamPair();
    const ended = server.serveConnection(far);
    await other.write(Uint8Array.from(garbage, (letter) => letter.charCodeAt(0)));
    if (garbage.length < 10) other.close();
    await ended;
  }
  await near.write(request(15, "State"));
  assert.equal((await nextResponse(frames)).streamId, 15);
});

test("a flood of unanswered calls is refused above the limit and the others still get their answers", async () => {
  const { near } = serve({ wait: () => new Promise(() => {}), state: async () => ({ pid: 9 }) });
  const task = connect(near).of(Task);
  const waits = Array.from({ length: 1024 }, () => task.wait({}).catch(() => {}));
  await assert.rejects(task.wait({}), fails("resource_exhausted"));
  await assert.rejects(task.state({}), fails("resource_exhausted"));
  assert.equal(waits.length, 1024);
});

test("an answer that is no Response fails its call alone", async () => {
  const [near, far] = streamPair();
  const task = connect(near).of(Task);
  const [first, second] = [task.state({}), task.state({})];
  await far.write(encodeFrame(1, 2, Uint8Array.of(0xff)));
  await far.write(encodeFrame(3, 2, Response.encode(Response.create({}))));
  await assert.rejects(first, fails("internal"));
  assert.equal((await second).pid, 0);
});

test("frames left in the buffer of a connection that failed meanwhile start no call", async () => {
  // The first request is refused, and that answer fails: the two waits behind it came with the same read.
  const started: unknown[] = [];
  const server = new TtrpcServer(nodeClock);
  server.register(Task, {
    wait: (request) => {
      started.push(request);
      return new Promise(() => {});
    },
  });
  const wait = (streamId: number, method: string) => {
    const request = { service: Task.name, method, payload: new Uint8Array(0), timeoutNano: 0n, metadata: [] };
    return encodeFrame(streamId, FRAME_REQUEST, Request.encode(request));
  };
  const input = Buffer.concat([wait(1, "Dance"), wait(3, "Wait"), wait(5, "Wait")]);
  let given = 0;
  const deaf: ByteStream = {
    async read(into) {
      const part = input.subarray(given, given + into.length);
      into.set(part);
      given += part.length;
      return part.length;
    },
    write: () => Promise.reject(new Error("broken pipe")),
    closeWrite() {},
    close() {},
    [Symbol.dispose]() {},
  };
  await server.serveConnection(deaf);
  assert.deepEqual(started, []);
});

test("of a crowd on a full server the first idle connection goes, never that of another process", () => {
  const closed: string[] = [];
  const crowd = new Crowd<Guest & { name: string }>();
  const guest = (name: string, peer: number, busy = false) => ({
    name,
    peer,
    busy,
    close: () => void closed.push(name),
  });
  crowd.add(guest("daemon", 1));
  for (let at = 0; at < 6; at++) crowd.add(guest(`crowd ${at}`, 2, at === 0));
  const other = guest("other", 3);
  crowd.add(other);
  crowd.makeRoom(other);
  assert.deepEqual([closed, crowd.size], [["crowd 1"], 7]);
  const few = new Crowd<Guest & { name: string }>();
  few.add(guest("daemon", 1));
  const last = guest("last", 2);
  few.add(last);
  few.makeRoom(last);
  assert.deepEqual(closed, ["crowd 1", "last"]);
});
