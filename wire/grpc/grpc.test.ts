// Both sides of gRPC against each other over a unix socket.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Content } from "../../api/containerd/gen/content.ts";
import { Events } from "../../api/containerd/gen/events.ts";
import { Tasks } from "../../api/containerd/gen/tasks.ts";
import { codeOf, Failure } from "../../base/errors.ts";
import { openUnixServer } from "../../runtime/node/socket.ts";
import { Cancel, type HandlersOf } from "../call.ts";
import { Feed } from "../feed.ts";
import type { AnyService } from "../protobuf/service.ts";
import { GrpcClient } from "./client.ts";
import { NAMESPACE_HEADER } from "./options.ts";
import { GrpcServer } from "./server.ts";

async function pair<S extends AnyService>(context: TestContext, service: S, handlers: HandlersOf<S>) {
  const folder = mkdtempSync(join(tmpdir(), "grpc-"));
  const path = join(folder, "socket");
  const server = new GrpcServer();
  server.register(service, handlers);
  const listening = createServer();
  server.attach(listening);
  await openUnixServer(listening, path, { mode: 0o660 });
  assert.equal(statSync(path).mode & 0o777, 0o660);
  await assert.rejects(openUnixServer(createServer(), path, { mode: 0o660 }), fails("already_exists", /in use/));
  const client = new GrpcClient(path, { headers: { [NAMESPACE_HEADER]: "moby" } });
  context.after(() => {
    client.close();
    server.close();
    listening.close();
    rmSync(folder, { recursive: true });
  });
  return { client, calls: client.of(service), path };
}

const fails = (code: string, message?: RegExp) => (thrown: unknown) => {
  assert.equal(codeOf(thrown), code, String(thrown));
  if (message !== undefined) assert.match((thrown as Error).message, message);
  return true;
};

test("a unary call carries message, namespace and headers", async (context) => {
  const { calls } = await pair(context, Tasks, {
    async create(request, call) {
      assert.equal(call.namespace, "moby");
      assert.equal(call.headers["traceparent"], "00-1-2-01");
      return { containerId: request.containerId, pid: 42 };
    },
  });
  const answer = await calls.create({ containerId: "a" }, { headers: { traceparent: "00-1-2-01" } });
  assert.deepEqual(answer, { containerId: "a", pid: 42 });
});

test("a failure keeps its code and its sentence letter by letter", async (context) => {
  const sentence = 'exec: "/ä%20\n\u{1f600}": stat: no such file or directory: unknown';
  const { calls } = await pair(context, Tasks, {
    async start() {
      throw new Failure("not_found", sentence);
    },
    async kill() {
      throw new Failure("unknown", "half a pair: \ud800");
    },
  });
  await assert.rejects(calls.start({}), (thrown: Error) => fails("not_found")(thrown) && thrown.message === sentence);
  await assert.rejects(calls.kill({}), fails("unknown", /^half a pair: \ufffd$/));
  await assert.rejects(calls.pause({}), fails("unimplemented"));
});

test("a server's stream is taken message by message, and leaving it tells the server", async (context) => {
  const left = Promise.withResolvers<void>();
  const { calls } = await pair(context, Content, {
    async *read() {
      try {
        for (let at = 0; ; at += 1 << 20) yield { offset: BigInt(at), data: new Uint8Array(1 << 20) };
      } finally {
        left.resolve();
      }
    },
  });
  let taken = 0;
  for await (const { offset, data } of calls.read({})) {
    assert.equal(offset, BigInt(taken << 20));
    assert.equal(data.length, 1 << 20);
    if (++taken === 5) break;
  }
  await left.promise;
});

test("a slow reader holds the server back", async (context) => {
  let made = 0;
  const { calls } = await pair(context, Content, {
    async *read() {
      for (; made < 1000; made++) yield { data: new Uint8Array(1 << 18) };
    },
  });
  for await (const _ of calls.read({})) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    break;
  }
  assert(made < 100, `${made} messages were made for a reader that took one`);
});

test("both sides of a call may stream, in lock step, and the server may refuse in the middle", async (context) => {
  const { calls } = await pair(context, Content, {
    async *write(requests) {
      let offset = 0n;
      for await (const request of requests) {
        if (request.ref === "bad") throw new Failure("already_exists", "content sha256:1: already exists");
        offset += BigInt(request.data.length);
        yield { action: request.action, offset };
      }
      yield { digest: "end" };
    },
  });
  const feed = new Feed<{ action: 1; data: Uint8Array; ref: string }>();
  const answers = calls.write(feed)[Symbol.asyncIterator]();
  for (const offset of [3n, 6n]) {
    await feed.send({ action: 1, data: new Uint8Array(3), ref: "a" });
    assert.equal((await answers.next()).value?.offset, offset);
  }
  feed.end();
  assert.equal((await answers.next()).value?.digest, "end");
  assert.equal((await answers.next()).done, true);

  const refused = calls.write(
    (async function* () {
      yield { ref: "bad" };
    })(),
  );
  await assert.rejects(refused[Symbol.asyncIterator]().next(), fails("already_exists", /^content .* already exists$/));
});

test("a client that cannot produce its messages gets its own reason back", async (context) => {
  const { calls } = await pair(context, Content, {
    async *write(requests) {
      for await (const _ of requests) yield {};
    },
  });
  const answers = calls.write(
    (async function* () {
      yield {};
      throw new Failure("data_loss", "the file ended early");
    })(),
  );
  await assert.rejects(
    (async () => {
      for await (const _ of answers);
    })(),
    fails("data_loss"),
  );
});

test("a subscription ends on both sides when its client is canceled or gone", async (context) => {
  const ended = new Feed<string>(9);
  const { calls, client, path } = await pair(context, Events, {
    async *subscribe(_request, call) {
      const feed = new Feed<{ topic: string }>(8);
      using _left = call.onCancel(() => feed.end());
      feed.push({ topic: "/tasks/start" });
      yield* feed;
      ended.push("ended");
    },
  });
  const ends = ended[Symbol.asyncIterator]();
  const cancel = new Cancel();
  await assert.rejects(
    (async () => {
      for await (const event of calls.subscribe({}, { cancel })) {
        assert.equal(event.topic, "/tasks/start");
        cancel.cancel();
      }
    })(),
    fails("canceled"),
  );
  assert.equal((await ends.next()).value, "ended");
  const other = new GrpcClient(path);
  const events = other.of(Events).subscribe({})[Symbol.asyncIterator]();
  await events.next();
  other.close();
  client.close();
});

test("a message above 16 MiB is refused with resource_exhausted, one below goes through", async (context) => {
  const { calls } = await pair(context, Content, {
    async *read({ size }) {
      yield { data: new Uint8Array(Number(size)) };
    },
  });
  const read = async (size: number) => {
    for await (const { data } of calls.read({ size: BigInt(size) })) return data.length;
    return -1;
  };
  assert.equal(await read(15 << 20), 15 << 20);
  await assert.rejects(read(17 << 20), fails("resource_exhausted"));
});

test("a call ends at its deadline and the handler learns it", async (context) => {
  const learnt = Promise.withResolvers<void>();
  const { calls } = await pair(context, Tasks, {
    wait: (_request, call) => new Promise(() => void call.onCancel(learnt.resolve)),
  });
  await assert.rejects(calls.wait({}, { timeout: 50 }), fails("deadline_exceeded"));
  await learnt.promise;
});

test("nobody at the socket is unavailable, and the client finds a daemon that comes back", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "grpc-"));
  const path = join(folder, "socket");
  const client = new GrpcClient(path);
  context.after(() => rmSync(folder, { recursive: true }));
  await assert.rejects(client.of(Tasks).get({}), fails("unavailable"));
  const server = new GrpcServer();
  server.register(Tasks, { get: async () => ({ process: null }) });
  const listening = createServer();
  server.attach(listening);
  await new Promise<void>((resolve) => listening.listen(path, resolve));
  await client.ready(5000);
  assert.deepEqual(await client.of(Tasks).get({}), { process: null });
  client.close();
  server.close();
  listening.close();
});

test("garbage on the socket ends its connection alone", async (context) => {
  const { calls, path } = await pair(context, Tasks, { get: async () => ({ process: null }) });
  const { connect } = await import("node:net");
  for (const garbage of [
    "GET / HTTP/1.1\r\n\r\n",
    "\0\0\0\0\0",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff",
  ]) {
    const socket = connect(path);
    const closed = new Promise((resolve) => socket.on("close", resolve).on("error", resolve));
    socket.on("data", () => {});
    socket.end(garbage, "latin1");
    await closed;
  }
  assert.deepEqual(await calls.get({}), { process: null });
});
