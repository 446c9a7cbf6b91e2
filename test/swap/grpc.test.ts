// Our gRPC beside Go's: our client on a private instance of the original containerd, the original ctr on our server.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Content } from "../../api/containerd/gen/content.ts";
import { Events } from "../../api/containerd/gen/events.ts";
import { ImageCreate, ImageDelete } from "../../api/containerd/gen/image_events.ts";
import { Images } from "../../api/containerd/gen/images.ts";
import { Namespaces } from "../../api/containerd/gen/namespaces.ts";
import { Version } from "../../api/containerd/gen/version.ts";
import { codeOf, Failure } from "../../base/errors.ts";
import { Cancel } from "../../wire/call.ts";
import { Feed } from "../../wire/feed.ts";
import { GrpcClient } from "../../wire/grpc/client.ts";
import { NAMESPACE_HEADER } from "../../wire/grpc/options.ts";
import { GrpcServer } from "../../wire/grpc/server.ts";

const ORIGINAL = "/usr/bin/containerd";
const skip = existsSync(ORIGINAL) && process.getuid?.() === 0 ? false : "needs Debian's containerd and root";
const folder = mkdtempSync(join(tmpdir(), "gantry-grpc-"));
const socket = join(folder, "original.sock");
let original: ChildProcess;
let client: GrpcClient;

before(async () => {
  if (skip !== false) return;
  const config = [
    "version = 2",
    `root = "${join(folder, "root")}"`,
    `state = "${join(folder, "state")}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]',
    `[grpc]\naddress = "${socket}"`,
    `[ttrpc]\naddress = "${socket}.ttrpc"`,
  ];
  mkdirSync(join(folder, "root"));
  writeFileSync(join(folder, "config.toml"), config.join("\n"));
  const log = openSync(join(folder, "log"), "w");
  original = spawn(ORIGINAL, ["--config", join(folder, "config.toml")], { stdio: ["ignore", log, log] });
  client = new GrpcClient(socket, { headers: { [NAMESPACE_HEADER]: "swap" } });
  await client.ready(20_000);
});

after(async () => {
  client?.close();
  if (original !== undefined) {
    const ended = new Promise((resolve) => original.on("exit", resolve));
    original.kill();
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

const fails = (code: string, message: RegExp) => (thrown: unknown) => {
  assert.equal(codeOf(thrown), code, String(thrown));
  assert.match((thrown as Error).message, message);
  return true;
};

test("unary calls, failures and the namespace reach the original", { skip }, async () => {
  assert.match((await client.of(Version).version({})).version, /^1\.|^v?2\./);
  await client.of(Namespaces).create({ namespace: { name: "swap", labels: { a: "1", b: "ü" } } });
  const got = await client.of(Namespaces).get({ name: "swap" });
  assert.deepEqual(got.namespace, { name: "swap", labels: { a: "1", b: "ü" } });
  await assert.rejects(client.of(Images).get({ name: "nothing" }), fails("not_found", /^image "nothing": not found$/));
  await assert.rejects(
    client.of(Images).get({ name: "x" }, { headers: { [NAMESPACE_HEADER]: "" } }),
    fails("failed_precondition", /namespace is required/),
  );
});

test("content goes in step by step and comes out as a stream", { skip }, async () => {
  const content = client.of(Content);
  const data = Buffer.alloc(3 << 20, "0123456789abcdef");
  const digest = `sha256:${createHash("sha256").update(data).digest("hex")}`;
  // Without this one the original's garbage collector takes it at once.
  const labels = { "containerd.io/gc.root": "now", "x.y/z": "é" };
  const feed = new Feed<Parameters<typeof content.write>[0] extends AsyncIterable<infer T> ? T : never>();
  const answers = content.write(feed)[Symbol.asyncIterator]();
  const total = BigInt(data.length);
  for (let at = 0; at < data.length; at += 1 << 20) {
    await feed.send({ action: 1, ref: "one", offset: BigInt(at), data: data.subarray(at, at + (1 << 20)) });
    assert.equal((await answers.next()).value?.offset, BigInt(at + (1 << 20)));
  }
  await feed.send({ action: 2, ref: "one", offset: total, total, expected: digest, labels });
  assert.equal((await answers.next()).value?.digest, digest);
  feed.end();
  const parts: Uint8Array[] = [];
  for await (const { data: part } of content.read({ digest })) parts.push(part);
  assert(Buffer.concat(parts).equals(data));
  const infos = [];
  for await (const { info } of content.list({})) infos.push(...info);
  assert.deepEqual(
    infos.map((info) => [info.digest, info.size, info.labels]),
    [[digest, total, labels]],
  );
  const again = content.write(
    (async function* () {
      yield { action: 1 as const, ref: "two", expected: digest, total };
    })(),
  );
  await assert.rejects(again[Symbol.asyncIterator]().next(), fails("already_exists", /already exists$/));
});

test("a subscription sees the original's events until it is left", { skip }, async () => {
  const cancel = new Cancel();
  const events = client
    .of(Events)
    .subscribe({ filters: ["topic~=^/images/"] }, { cancel })
    [Symbol.asyncIterator]();
  const first = events.next();
  const image = {
    name: "docker.io/library/x:1",
    target: { mediaType: "a/b", digest: `sha256:${"0".repeat(64)}`, size: 1n, annotations: {} },
  };
  // The subscription begins when the original has read it: the image is made again until its event came.
  const images = client.of(Images);
  const timer = setInterval(() => {
    const made = { ...image, labels: { l: "1" }, createdAt: null, updatedAt: null };
    images
      .delete({ name: image.name })
      .catch(() => {})
      .then(() => images.create({ image: made }))
      .catch(() => {});
  }, 50);
  const { value } = await first;
  clearInterval(timer);
  assert.equal(value?.namespace, "swap");
  assert(
    [ImageCreate, ImageDelete].some((type) => type.typeName === value?.event?.typeUrl),
    value?.event?.typeUrl,
  );
  if (value?.topic === "/images/create") assert.equal(ImageCreate.decode(value.event!.value).name, image.name);
  cancel.cancel();
  await assert.rejects(events.next(), fails("canceled", /./));
});

test("the original ctr talks to our server and shows our failures", { skip }, async (context) => {
  const server = new GrpcServer();
  context.after(() => {
    server.close();
    listening.close();
  });
  server.register(Version, { version: async () => ({ version: "9.8.7", revision: "feed" }) });
  server.register(Namespaces, {
    list: async () => ({ namespaces: [{ name: "moby", labels: { k: "v" } }] }),
    get: async ({ name }) => ({ namespace: { name, labels: { k: "v" } } }),
    async create({ namespace }) {
      throw new Failure("already_exists", `namespace "${namespace?.name}": already exists`);
    },
  });
  const listening = createServer();
  server.attach(listening);
  const path = join(folder, "ours.sock");
  await new Promise<void>((resolve) => listening.listen(path, resolve));
  const ctr = (...args: string[]) =>
    new Promise<string>((resolve) => {
      execFile("/usr/bin/ctr", ["--address", path, ...args], (_error, stdout, stderr) => resolve(stdout + stderr));
    });
  assert.match(await ctr("version"), /Server:\s+Version:\s+9\.8\.7\s+Revision: feed/);
  assert.match(await ctr("namespaces", "ls"), /moby\s+k=v/);
  assert.equal(await ctr("namespaces", "create", "moby"), 'ctr: namespace "moby": already exists\n');
  assert.match(await ctr("images", "ls"), /does not implement the method .*Images.List: not implemented/);
});
