// The codec against itself over memory: any splitting of bytes, golden bytes, and what must be refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import type { ByteStream } from "../../base/runtime.ts";
import { streamPair } from "../../runtime/fake/stream.ts";
import { readWhole } from "./body.ts";
import { HttpClient } from "./client.ts";
import { formatQuery, parseQuery } from "./query.ts";
import { type Handler, serveConnection } from "./server.ts";

const echo: Handler = async (request, responder) => {
  const body = await readWhole(request.body, 1 << 20);
  await responder.send(200, [["X-Target", `${request.path}?${request.query}`]], body);
};

async function readAll(stream: ByteStream): Promise<string> {
  const pieces: Uint8Array[] = [];
  const into = new Uint8Array(4096);
  for (let count = await stream.read(into); count > 0; count = await stream.read(into))
    pieces.push(into.slice(0, count));
  return decodeUtf8(concatBytes(pieces));
}

/** What a server answers to these bytes until it closes. */
async function answerTo(text: string, handler: Handler = echo, pieceLength?: () => number): Promise<string> {
  const [near, far] = streamPair(pieceLength);
  const served = serveConnection(far, handler);
  await near.write(encodeUtf8(text));
  near.closeWrite();
  const answer = await readAll(near);
  await served;
  return answer;
}

test("a request with a length is answered in golden bytes", async () => {
  const answer = await answerTo("POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
  assert.equal(answer, "HTTP/1.1 200 OK\r\nX-Target: /a/b?c=d\r\nContent-Length: 5\r\n\r\nhello");
});

test("two pipelined requests, one in chunks with extensions and trailers, are answered in any splitting", async () => {
  const text =
    "POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
    "3;a=b\r\nabc\r\n0010\r\n0123456789abcdef\r\n0\r\nT: v\r\n\r\n" +
    "GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const whole = await answerTo(text);
  assert.match(
    whole,
    /abc0123456789abcdefHTTP\/1\.1 200 OK\r\nX-Target: \/2\?\r\nContent-Length: 0\r\nConnection: close\r\n\r\n$/,
  );
  for (let seed = 1; seed < 60; seed++) {
    let state = seed;
    const random = () => (state = (state * 1103515245 + 12345) % 2147483648) % 7;
    assert.equal(await answerTo(text, echo, random), whole, `seed ${seed}`);
  }
});

const REFUSED: [title: string, text: string, status: number][] = [
  ["both framings", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
  ["two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400],
  ["a signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", 400],
  ["a list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc", 400],
  ["an unknown transfer encoding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501],
  ["chunks from HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
  ["a bare line feed", "GET / HTTP/1.1\nHost: x\n\n", 400],
  ["a folded header", "GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", 400],
  ["a space before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400],
  ["a bare carriage return in a value", "GET / HTTP/1.1\r\nHost: x\ry\r\n\r\n", 400],
  ["a zero byte in a value", "GET / HTTP/1.1\r\nHost: x\0\r\n\r\n", 400],
  ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
  ["a space in the target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400],
  ["the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
  ["another protocol", "\u0016\u0003\u0001\u0002\n", 400],
  ["a head cut off", "GET / HTTP/1.1\r\nHost", 400],
  ["too many headers", `GET / HTTP/1.1\r\n${"A: b\r\n".repeat(300)}\r\n`, 431],
  ["too large a head", `GET / HTTP/1.1\r\nA: ${"b".repeat(600_000)}`, 431],
  ["an unknown expectation", "GET / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417],
];

for (const [title, text, status] of REFUSED) {
  test(`a server refuses ${title} with ${status} and closes`, async () => {
    let called = false;
    const answer = await answerTo(text, async () => {
      called = true;
    });
    assert.equal(answer.slice(0, 13), `HTTP/1.1 ${status} `);
    assert.equal(called, false);
  });
}

test("a broken chunk ends the connection without a second answer", async () => {
  for (const chunk of ["zz\r\n", "3\r\nabcX", "-1\r\n", "3\nabc", "ffffffffffffffff\r\n", ""]) {
    const answer = await answerTo(`POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`);
    assert.equal(answer.slice(0, 13), "HTTP/1.1 400 ", JSON.stringify(chunk));
  }
});

test("random garbage never reaches the handler and never hangs", async () => {
  let state = 7;
  const random = () => (state = (state * 1103515245 + 12345) % 2147483648);
  for (let round = 0; round < 200; round++) {
    const bytes = Uint8Array.from({ length: random() % 200 }, () => random() >> 8);
    const [near, far] = streamPair();
    const served = serveConnection(far, async () => assert.fail("garbage was taken for a request"));
    await near.write(bytes);
    near.closeWrite();
    await served;
  }
});

test("100 Continue is sent when the handler asks for the body, and not when it refuses without", async () => {
  const head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  const taken = await answerTo(`${head}hi`);
  assert.ok(taken.startsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
  const refused = await answerTo(head, async (_request, responder) => responder.send(404, []));
  assert.equal(refused, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
});

function clientOf(handler: Handler): { client: HttpClient; dials: () => number } {
  let dials = 0;
  const client = new HttpClient(async () => {
    dials++;
    const [near, far] = streamPair();
    void serveConnection(far, handler);
    return near;
  }, "docker");
  return { client, dials: () => dials };
}

test("a client reuses its connection when the body was read to the end", async () => {
  const { client, dials } = clientOf(echo);
  for (const text of ["one", "two", ""]) {
    const response = await client.request({ method: "POST", target: "/", body: encodeUtf8(text) });
    assert.equal(decodeUtf8(await readWhole(response.body, 100)), text);
  }
  assert.equal(dials(), 1);
});

test("headers of an open answer arrive before any body", async () => {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { client } = clientOf(async (_request, responder) => {
    const writer = await responder.open(200, []);
    await held;
    await writer.write(encodeUtf8("late"));
    await writer.end();
  });
  const response = await client.request({ method: "POST", target: "/wait" });
  assert.equal(response.status, 200);
  release();
  assert.equal(decodeUtf8(await readWhole(response.body, 10)), "late");
});

test("an answer is read while the request's body is still being sent", async () => {
  const { client } = clientOf(async (request, responder) => {
    const writer = await responder.open(200, []);
    for (let piece = await request.body.read(); piece !== null; piece = await request.body.read())
      await writer.write(piece);
    await writer.end();
  });
  let step: (text: string | null) => void = () => {};
  const next = () => new Promise<string | null>((resolve) => (step = resolve));
  let pending = next();
  const body = {
    done: false,
    read: async () => {
      const text = await pending;
      pending = next();
      return text === null ? null : encodeUtf8(text);
    },
  };
  step("first");
  const response = await client.request({ method: "POST", target: "/", body });
  assert.equal(decodeUtf8((await response.body.read())!), "first");
  step(null);
  assert.equal(await response.body.read(), null);
});

test("a hijacked stream goes on after the client closed its half, and bytes sent early are not lost", async () => {
  const [near, far] = streamPair();
  const served = serveConnection(far, async (_request, responder) => {
    const stream = await responder.hijack([["Content-Type", "application/vnd.docker.raw-stream"]]);
    const heard = await readAll(stream);
    await stream.write(encodeUtf8(`heard ${heard}, `));
    await stream.write(encodeUtf8("still here"));
    stream.close();
  });
  const head = "POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
  await near.write(encodeUtf8(`${head}early`));
  near.closeWrite();
  assert.equal(
    await readAll(near),
    "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n" +
      "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n" +
      "heard early, still here",
  );
  await served;
});

test("a hijack without Upgrade headers answers 200, and our client takes it as a raw stream", async () => {
  const answer = await answerTo("POST /attach HTTP/1.1\r\nHost: x\r\n\r\n", async (_request, responder) => {
    const stream = await responder.hijack([]);
    await stream.write(encodeUtf8("raw"));
    stream.close();
  });
  assert.equal(answer, "HTTP/1.1 200 OK\r\n\r\nraw");
});

test("the client gets a stream from 101 and a body from an error", async () => {
  const { client } = clientOf(async (request, responder) => {
    if (request.path === "/no") return responder.send(409, [], encodeUtf8("paused"));
    const stream = await responder.hijack([]);
    await stream.write(encodeUtf8("out"));
    stream.close();
  });
  const open = await client.upgrade({ method: "POST", target: "/yes" });
  assert.equal(open.status, 101);
  assert.equal(await readAll(open.stream!), "out");
  const refused = await client.upgrade({ method: "POST", target: "/no" });
  assert.equal(refused.stream, null);
  assert.equal(decodeUtf8(await readWhole(refused.body, 100)), "paused");
});

test("a server that closes without an answer is reported as EOF", async () => {
  const client = new HttpClient(async () => {
    const [near, far] = streamPair();
    far.close();
    return near;
  }, "docker");
  await assert.rejects(client.request({ method: "GET", target: "/" }), (thrown: unknown) => {
    return thrown instanceof Failure && thrown.code === "unavailable" && thrown.message === "EOF";
  });
});

test("a handler that fails before answering gives 500, one that fails later cuts the body off", async () => {
  const early = await answerTo("GET / HTTP/1.1\r\nHost: x\r\n\r\n", async () => {
    throw new Error("defect");
  });
  assert.ok(early.startsWith("HTTP/1.1 500 "));
  const late = await answerTo("GET / HTTP/1.1\r\nHost: x\r\n\r\n", async (_request, responder) => {
    const writer = await responder.open(200, []);
    await writer.write(encodeUtf8("x"));
    throw new Error("defect");
  });
  assert.ok(late.endsWith("\r\n\r\n1\r\nx\r\n"));
});

test("watchGone tells when the client closes during a long answer", async () => {
  const [near, far] = streamPair();
  const gone = new Promise<void>((resolve) => {
    void serveConnection(far, async (_request, responder) => {
      await responder.open(200, []);
      await new Promise<void>((leave) => {
        responder.watchGone(() => {
          resolve();
          leave();
        });
      });
    });
  });
  await near.write(encodeUtf8("GET /events HTTP/1.1\r\nHost: x\r\n\r\n"));
  await near.read(new Uint8Array(100));
  near.close();
  await gone;
});

test("queries survive the way there and back, bytes that are no UTF-8 included", () => {
  const fields = { path: "/a b&c=d%\udcff", filters: '{"label":["a+b"]}', absent: null, flag: true };
  const text = formatQuery(fields);
  const parsed = parseQuery(text.slice(1))!;
  assert.equal(parsed.get("path")![0], fields.path);
  assert.equal(parsed.get("filters")![0], fields.filters);
  assert.equal(parsed.get("flag")![0], "true");
  assert.equal(parsed.has("absent"), false);
  assert.equal(parseQuery("a=%zz"), null);
});
