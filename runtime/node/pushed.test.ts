// A connection that calls back: order, pauses and ends, over real sockets.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Failure } from "../../base/errors.ts";
import { connectPushed, type PushedConnection, type Receiver } from "./pushed.ts";

const SIZE = 1024;

interface Ends {
  peer: Socket;
  connection: PushedConnection;
  /** Resolves when the receiver is told the end. */
  ended: Promise<Failure | null>;
}

async function connected(take: Receiver["take"], body: (ends: Ends) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "pushed-"));
  const server = createServer();
  try {
    const path = join(folder, "socket");
    await once(server.listen(path), "listening");
    const accepted = once(server, "connection") as Promise<[Socket]>;
    const { promise: ended, resolve } = Promise.withResolvers<Failure | null>();
    const connection = await connectPushed(path, { take, ended: resolve }, SIZE);
    const [peer] = await accepted;
    peer.on("error", () => {});
    await body({ peer, connection, ended });
    connection.close();
    peer.destroy();
  } finally {
    server.close();
    rmSync(folder, { recursive: true });
  }
}

test("all that the peer sends is given in order, in pieces of a bounded size, and then its end", async () => {
  const sent = Buffer.from(Array.from({ length: 10_000 }, (_, at) => at));
  const got: Uint8Array[] = [];
  const take = (bytes: Uint8Array) => {
    got.push(bytes.slice());
    return null;
  };
  await connected(take, async ({ peer, ended }) => {
    peer.end(sent);
    assert.equal(await ended, null);
    assert.deepEqual(Buffer.concat(got), sent);
    assert(got.every((piece) => piece.length <= SIZE));
  });
});

test("while a receiver wants no more the peer is held back, and nothing is lost", async () => {
  const { promise: room, resolve: makeRoom } = Promise.withResolvers<void>();
  let [got, calls] = [0, 0];
  const take = (bytes: Uint8Array) => {
    got += bytes.length;
    return ++calls === 2 ? room : null;
  };
  await connected(take, async ({ peer, ended }) => {
    const sent = Buffer.alloc(4 << 20);
    let flushed = false;
    peer.end(sent, () => {
      flushed = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual([calls, flushed], [2, false]);
    makeRoom();
    assert.equal(await ended, null);
    assert.equal(got, sent.length);
  });
});

test("what is written arrives, and closing it is told as its end", async () => {
  await connected(
    () => null,
    async ({ peer, connection, ended }) => {
      connection.write(Buffer.from("hello"));
      assert.equal(String((await once(peer, "data"))[0]), "hello");
      connection.close();
      assert.equal(await ended, null);
    },
  );
});

test("where nobody listens it is refused with the path, and the receiver hears nothing", async () => {
  const receiver: Receiver = { take: () => assert.fail(), ended: () => assert.fail() };
  await assert.rejects(connectPushed("/nobody/listens", receiver, SIZE), /connect \/nobody\/listens: ENOENT/);
});
