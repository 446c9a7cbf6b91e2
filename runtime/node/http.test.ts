// The codec over real sockets, with curl, node:http and a Go client's habits as its peers.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import type { Listener } from "../../base/runtime.ts";
import { readWhole } from "../../wire/http/body.ts";
import { HttpClient } from "../../wire/http/client.ts";
import { serveConnection } from "../../wire/http/server.ts";
import { connectTcp, connectUnix, listenTcp, listenUnix } from "./socket.ts";

const run = promisify(execFile);
const folder = mkdtempSync(path.join(tmpdir(), "gantry-http-"));
const socket = path.join(folder, "s.sock");
let listener: Listener;

async function serve(accepting: Listener): Promise<void> {
  for (let stream = await accepting.accept(); stream !== null; stream = await accepting.accept()) {
    void serveConnection(stream, async (request, responder) => {
      if (request.path === "/attach") {
        const raw = await responder.hijack([]);
        const into = new Uint8Array(1024);
        for (let count = await raw.read(into); count > 0; count = await raw.read(into))
          await raw.write(into.slice(0, count));
        await raw.write(encodeUtf8("bye"));
        raw.close();
        return;
      }
      if (request.path === "/big") {
        const writer = await responder.open(200, []);
        for (let at = 0; at < 256; at++) await writer.write(new Uint8Array(65536).fill(at));
        return writer.end();
      }
      let length = 0;
      for (let piece = await request.body.read(); piece !== null; piece = await request.body.read())
        length += piece.length;
      await responder.send(200, [], encodeUtf8(`${request.method} ${request.path} ${length}`));
    });
  }
}

before(async () => {
  listener = await listenUnix(socket, { mode: 0o600 });
  void serve(listener);
});

after(() => {
  listener.close();
  rmSync(folder, { recursive: true });
});

test("curl talks to our server: get, head, upload with expectation, chunked upload, download", async () => {
  const curl = async (...args: string[]) => (await run("curl", ["-sS", "--unix-socket", socket, ...args])).stdout;
  assert.equal(await curl("http://d/a", "http://d/b"), "GET /a 0GET /b 0");
  assert.match(await curl("-I", "http://d/a"), /^HTTP\/1\.1 200 OK\r\nContent-Length: 9\r\n/);
  const large = "x".repeat(2_000_000);
  const upload = (...headers: string[]) => {
    const child = run("curl", ["-sS", "--unix-socket", socket, ...headers, "--data-binary", "@-", "http://d/up"]);
    child.child.stdin!.end(large);
    return child;
  };
  assert.equal((await upload("-H", "Expect: 100-continue")).stdout, "POST /up 2000000");
  assert.equal((await upload("-H", "Transfer-Encoding: chunked")).stdout, "POST /up 2000000");
  assert.equal(await curl("-o", "/dev/null", "-w", "%{size_download}", "http://d/big"), String(65536 * 256));
});

test("a client that closes its writing half at once still gets everything", async () => {
  const heard = await new Promise<string>((resolve, reject) => {
    const peer = connect({ path: socket, allowHalfOpen: true });
    let text = "";
    peer.on("data", (piece) => (text += piece));
    peer.on("end", () => resolve(text));
    peer.on("error", reject);
    peer.end("POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhi ");
  });
  assert.match(heard, /^HTTP\/1\.1 101 UPGRADED\r\n.*\r\n\r\nhi bye$/s);
});

test("our client talks to node:http: keep-alive, chunks both ways, upgrade", async () => {
  const server = http.createServer((request, response) => {
    response.setHeader("X-Peer", request.headers["x-mine"] ?? "");
    request.pipe(response);
  });
  server.on("upgrade", (_request, raw) => {
    raw.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nwelcome ");
    raw.pipe(raw);
  });
  let connections = 0;
  server.on("connection", () => connections++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  using client = new HttpClient(() => connectTcp("127.0.0.1", port), "d");
  for (let round = 0; round < 3; round++) {
    let left = 20;
    const body = { done: false, read: async () => (left-- > 0 ? new Uint8Array(50_000) : null) };
    const response = await client.request({ method: "POST", target: "/", headers: [["X-Mine", "ü"]], body });
    assert.equal((await readWhole(response.body, 2_000_000)).length, 1_000_000);
  }
  assert.equal(connections, 1);
  const { stream } = await client.upgrade({ method: "POST", target: "/" });
  await stream!.write(encodeUtf8("echo"));
  stream!.closeWrite();
  let text = "";
  const into = new Uint8Array(100);
  for (let count = await stream!.read(into); count > 0; count = await stream!.read(into)) {
    text += decodeUtf8(into.subarray(0, count));
  }
  assert.equal(text, "welcome echo");
  stream!.close();
  server.close();
});

test("a reader that does not read holds the sender back", async () => {
  const tcp = await listenTcp("127.0.0.1", 0);
  const accepted = tcp.accept();
  const near = await connectTcp("127.0.0.1", tcp.port);
  const far = (await accepted)!;
  let sent = 0;
  const sending = (async () => {
    for (; sent < 64; sent++) await far.write(new Uint8Array(1 << 20));
    far.close();
  })();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.ok(sent < 32, `${sent} MiB were taken without a reader`);
  let received = 0;
  const into = new Uint8Array(1 << 20);
  for (let count = await near.read(into); count > 0; count = await near.read(into)) received += count;
  await sending;
  assert.equal(received, 64 << 20);
  near.close();
  tcp.close();
});

test("a listener takes over a dead socket file but not a living one", async () => {
  await assert.rejects(listenUnix(socket, { mode: 0o600 }), { code: "already_exists" });
  const living = await connectUnix(socket);
  living.close();
  await assert.rejects(connectUnix(path.join(folder, "absent")), { code: "unavailable", message: /ENOENT/ });
});
