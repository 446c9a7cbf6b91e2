// The streams of a container through its shim: the shim's own logs, attached clients, terminals, files, logging
// programs.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Attached, ShimLab, skip } from "./shim-lab.ts";

function logOf(path: string): { log: string; stream: string; time: string }[] {
  return readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test("the shim's own log holds exactly what was printed, by lines and in parts", { skip }, async () => {
  const script =
    "echo one; echo two >&2; printf 'tail'; sleep 0.2; printf ' end\\n'; head -c 40000 /dev/zero; printf last";
  await using lab = await ShimLab.start(["/bin/sh", "-c", script]);
  const log = join(lab.folder, "c.log");
  await lab.create({ stdout: `json-file://${log}`, stderr: `json-file://${log}` });
  await lab.task.start({ id: lab.id });
  await lab.task.wait({ id: lab.id });
  const entries = logOf(log);
  const stdout = entries.filter((entry) => entry.stream === "stdout").map((entry) => entry.log);
  assert.deepEqual(stdout.slice(0, 2), ["one\n", "tail end\n"]);
  assert.deepEqual(
    stdout.slice(2).map((text) => text.length),
    [16384, 16384, 40000 - 2 * 16384 + 4],
  );
  assert.equal(stdout.join(""), `one\ntail end\n${"\0".repeat(40000)}last`);
  assert.deepEqual(
    entries.filter((entry) => entry.stream === "stderr").map((entry) => entry.log),
    ["two\n"],
  );
  for (const { time } of entries) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/);
  assert.equal(statSync(log).mode & 0o777, 0o640);
});

test("a log is rotated at its size and keeps as many files as asked", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/seq", "1", "30000"]);
  const log = join(lab.folder, "c.log");
  const uri = `json-file://${log}?max-size=100000&max-file=3`;
  await lab.create({ stdout: uri, stderr: uri });
  await lab.task.start({ id: lab.id });
  await lab.task.wait({ id: lab.id });
  assert.deepEqual(
    readdirSync(lab.folder)
      .filter((name) => name.startsWith("c.log"))
      .sort(),
    ["c.log", "c.log.1", "c.log.2"],
  );
  const numbers = [`${log}.2`, `${log}.1`, log].flatMap((path) => logOf(path).map((entry) => Number(entry.log)));
  assert.equal(numbers.at(-1), 30000);
  assert(numbers.every((number, at) => at === 0 || number === numbers[at - 1]! + 1));
  for (const path of [`${log}.2`, `${log}.1`]) assert(Math.abs(statSync(path).size - 100000) < 100);
});

test("attached clients feed stdin and see what the log holds, and the end", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "echo ready; cat; echo done >&2"]);
  const [log, socket] = [join(lab.folder, "c.log"), join(lab.folder, "attach")];
  const uri = `json-file://${log}?attach=${encodeURIComponent(socket)}`;
  await lab.create({ stdin: "attach://", stdout: uri, stderr: uri });
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  const [both, second] = [new Attached(socket, 3), new Attached(socket, 2)];
  await lab.eventually("subscriptions", () => both.frames.length > 0 && second.frames.length > 0);
  assert.deepEqual([both.frames[0]!.type, second.frames[0]!.type], [9, 9]);
  await lab.task.start({ id: lab.id });
  const input = `${"x".repeat(70)}\n`;
  for (let at = 0; at < 3000; at++) both.send(0, Buffer.from(input));
  both.send(4, Buffer.alloc(0));
  await lab.task.wait({ id: lab.id });
  await lab.eventually("the end", () => both.ended && second.ended);
  assert.equal(both.text(1), `ready\n${input.repeat(3000)}`);
  assert.deepEqual([both.text(2), second.text(1), second.text(2)], ["done\n", "", "done\n"]);
  // Between two pipes only what is read one after the other has an order.
  const logged = (stream: string) =>
    logOf(log)
      .filter((entry) => entry.stream === stream)
      .map((entry) => entry.log)
      .join("");
  assert.deepEqual([logged("stdout"), logged("stderr")], [`ready\n${input.repeat(3000)}`, "done\n"]);
  const late = new Attached(socket, 3);
  await lab.eventually("the late client's end", () => late.ended);
  await lab.task.delete({ id: lab.id });
  assert.equal(existsSync(socket), false);
});

test("what a client sent before it went still reaches a slow process", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "sleep 0.5; wc -c; sleep 0.1"]);
  const [log, socket] = [join(lab.folder, "c.log"), join(lab.folder, "attach")];
  const uri = `json-file://${log}?attach=${socket}`;
  await lab.create({ stdin: "attach://", stdout: uri, stderr: uri });
  await lab.task.start({ id: lab.id });
  const client = new Attached(socket, 0);
  for (let at = 0; at < 5; at++) client.send(0, Buffer.alloc(40_000, "y"));
  client.send(4, Buffer.alloc(0));
  client.socket.end(() => client.socket.destroy());
  await lab.task.wait({ id: lab.id });
  assert.deepEqual(
    logOf(log).map((entry) => entry.log),
    ["200000\n"],
  );
});

test("what a client sent reaches the process, even if the client went before it was answered", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "wc -c; sleep 0.1"]);
  const [log, socket] = [join(lab.folder, "c.log"), join(lab.folder, "attach")];
  const uri = `json-file://${log}?attach=${socket}`;
  await lab.create({ stdin: "attach://", stdout: uri, stderr: uri });
  await lab.task.start({ id: lab.id });
  process.kill(lab.shimPid, "SIGSTOP");
  const client = new Attached(socket, 3);
  client.send(0, Buffer.alloc(1000, "y"));
  client.send(4, Buffer.alloc(0));
  client.socket.end(() => client.socket.destroy());
  await lab.eventually("the client has gone", () => client.ended);
  process.kill(lab.shimPid, "SIGCONT");
  await lab.task.wait({ id: lab.id });
  assert.deepEqual(
    logOf(log).map((entry) => entry.log),
    ["1000\n"],
  );
});

test("a full disk costs log lines, never the container", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "seq 1 30000; sleep 0.3; exit 6"]);
  const disk = join(lab.folder, "disk");
  mkdirSync(disk);
  assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", "size=200k", "tmpfs", disk]).status, 0);
  try {
    const uri = `json-file://${disk}/c.log`;
    await lab.create({ stdout: uri, stderr: uri });
    await lab.task.start({ id: lab.id });
    assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 6);
    const numbers = logOf(join(disk, "c.log")).map((entry) => Number(entry.log));
    assert(numbers.length > 1000 && numbers.length < 30000);
    assert(numbers.every((number, at) => at === 0 || number > numbers[at - 1]!));
    await lab.task.delete({ id: lab.id });
  } finally {
    spawnSync("umount", ["-l", disk]);
  }
});

test("garbage on the attach socket ends that client with a reason and no other", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/cat"]);
  const [log, socket] = [join(lab.folder, "c.log"), join(lab.folder, "attach")];
  const uri = `json-file://${log}?attach=${socket}`;
  await lab.create({ stdin: "attach://", stdout: uri, stderr: uri });
  await lab.task.start({ id: lab.id });
  const good = new Attached(socket, 3);
  for (const garbage of [Buffer.from([7, 0, 0, 0, 0, 0, 0, 0]), Buffer.alloc(50, 0xff)]) {
    const bad = new Attached(socket, 3);
    bad.socket.write(garbage);
    await lab.eventually("its end", () => bad.ended);
    assert.equal(bad.frames.at(-1)!.type, 3);
  }
  good.send(0, Buffer.from("still here\n"));
  await lab.eventually("the echo", () => good.text(1) === "still here\n");
  await lab.task.closeIO({ id: lab.id, stdin: true });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 0);
});

test("a terminal's size is set, its output logged and its input fed", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "read line; stty size; echo got $line"], (config) => {
    config.process.terminal = true;
  });
  const [log, socket] = [join(lab.folder, "c.log"), join(lab.folder, "attach")];
  const uri = `json-file://${log}?attach=${socket}`;
  await lab.create({ terminal: true, stdin: "attach://", stdout: uri });
  await lab.task.resizePty({ id: lab.id, width: 91, height: 33 });
  await lab.task.start({ id: lab.id });
  const client = new Attached(socket, 1);
  client.send(0, Buffer.from("word\n"));
  await lab.task.wait({ id: lab.id });
  await lab.eventually("the end", () => client.ended);
  assert.equal(client.text(1), "word\r\n33 91\r\ngot word\r\n");
  assert.equal(
    logOf(log)
      .map((entry) => entry.log)
      .join(""),
    "word\r\n33 91\r\ngot word\r\n",
  );
});

test("streams may be files that are appended to", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "echo out; echo err >&2"]);
  const [out, err] = [join(lab.folder, "sub/out"), join(lab.folder, "err")];
  writeFileSync(err, "before\n");
  await lab.create({ stdout: `file://${out}`, stderr: err });
  await lab.task.start({ id: lab.id });
  await lab.task.wait({ id: lab.id });
  await lab.task.delete({ id: lab.id });
  assert.deepEqual([readFileSync(out, "utf8"), readFileSync(err, "utf8")], ["out\n", "before\nerr\n"]);
});

test("a logging program gets the streams and the container's name", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "echo out; echo err >&2"]);
  const [script, out] = [join(lab.folder, "logger"), join(lab.folder, "out")];
  const body = [
    "#!/bin/sh",
    `exec > ${out}`,
    'echo "$CONTAINER_ID $CONTAINER_NAMESPACE $*"',
    "exec 5>&-",
    "cat <&3; cat <&4",
  ];
  writeFileSync(script, body.join("\n"), { mode: 0o755 });
  await lab.create({ stdout: `binary://${script}?a=1&b=2`, stderr: `binary://${script}?a=1&b=2` });
  await lab.task.start({ id: lab.id });
  await lab.task.wait({ id: lab.id });
  const expected = `${lab.id} ${lab.namespace} a 1 b 2\nout\nerr\n`;
  await lab.eventually("the logger's file", () => readFileSync(out, "utf8") === expected);
});

/** Reads a FIFO until it is killed: a process of its own, because a read that waits here cannot be taken back. */
function reader(path: string) {
  const child = spawn("cat", [path], { stdio: ["ignore", "pipe", "ignore"] });
  const pieces: Buffer[] = [];
  child.stdout.on("data", (piece: Buffer) => pieces.push(piece));
  return { bytes: () => Buffer.concat(pieces), stop: () => child.kill("SIGKILL") };
}

test("bytes of any kind pass FIFOs exactly, whoever reads them and however often", { skip }, async () => {
  const script = "cat; busybox head -c 3000000 /dev/urandom > /r; cat /r; busybox md5sum /r >&2";
  await using lab = await ShimLab.start(["/bin/sh", "-c", script]);
  const [stdin, stdout, stderr] = ["in", "out", "err"].map((name) => join(lab.folder, name)) as [
    string,
    string,
    string,
  ];
  assert.equal(spawnSync("mkfifo", [stdin, stdout, stderr]).status, 0);
  const [errors, first] = [reader(stderr), reader(stdout)];
  await lab.create({ stdin, stdout, stderr });
  await lab.task.start({ id: lab.id });
  const input = Buffer.alloc(1_000_000, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)));
  createWriteStream(stdin).end(input);
  await lab.eventually("the echo", () => first.bytes().length === input.length);
  assert(first.bytes().equals(input));
  // The reader goes, another one comes: what is not read meanwhile waits in the pipe.
  first.stop();
  await lab.task.closeIO({ id: lab.id, stdin: true });
  await sleep(100);
  const second = reader(stdout);
  await lab.eventually("the rest", () => second.bytes().length === 3_000_000);
  await lab.task.wait({ id: lab.id });
  const sum = createHash("md5").update(second.bytes()).digest("hex");
  await lab.eventually("the sum", () => errors.bytes().toString().startsWith(sum));
  for (const one of [errors, second]) one.stop();
});

test("binary-v2: a logging program that ends without a word fails the creation, one that says a byte is used", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(["/bin/echo", "out"]);
  const [silent, ready, out] = ["silent", "ready", "out"].map((name) => join(lab.folder, name));
  writeFileSync(silent!, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  writeFileSync(ready!, `#!/bin/sh\nprintf x >&5\nexec 5>&-\ncat <&3 > ${out}\n`, { mode: 0o755 });
  await assert.rejects(lab.create({ stdout: `binary-v2://${silent}` }), /did not call ready/);
  await lab.create({ stdout: `binary-v2://${ready}` });
  await lab.task.start({ id: lab.id });
  await lab.task.wait({ id: lab.id });
  await lab.eventually("the logger's file", () => existsSync(out!) && readFileSync(out!, "utf8") === "out\n");
});
