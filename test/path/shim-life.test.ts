// The shim's own life: signals, its place before the kernel's killer, orphans, and a daemon that stops, goes for long
// or comes back as another.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Envelope } from "../../api/containerd/gen/types.ts";
import { ForwardRequest } from "../../api/task/gen/events.ts";
import { Request, Response } from "../../api/wellknown/gen/ttrpc.ts";
import { encodeFrame, FRAME_RESPONSE } from "../../wire/ttrpc/frame.ts";
import { ShimLab, skip } from "./shim-lab.ts";

async function running(...args: string[]): Promise<ShimLab> {
  const lab = await ShimLab.start(args.length === 0 ? ["/bin/sleep", "1000"] : args);
  await lab.create();
  await lab.task.start({ id: lab.id });
  await lab.eventually("the start", () => lab.topics().includes("/tasks/start"));
  return lab;
}

const scoreOf = (pid: number | string) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));

test("signals that are not for the shim leave it and its container alone", { skip }, async () => {
  await using lab = await running();
  for (const signal of ["SIGHUP", "SIGPIPE", "SIGUSR1", "SIGCHLD", "SIGCONT"] as const) {
    for (let at = 0; at < 5; at++) process.kill(lab.shimPid, signal);
  }
  await sleep(100);
  assert.equal((await lab.task.state({ id: lab.id })).status, 2);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} ends the shim and its socket; the container goes on, and delete ends it`, { skip }, async () => {
    await using lab = await running();
    const { pid } = await lab.task.state({ id: lab.id });
    process.kill(lab.shimPid, signal);
    await lab.eventually("the shim's end", () => !lab.alive());
    assert.deepEqual(readdirSync(join(lab.folder, "s")), []);
    assert(existsSync(`/proc/${pid}`));
    assert.equal(lab.startCommand(lab.id, lab.path, { action: "delete" }).status, 0);
    await lab.eventually("the container's end", () => !existsSync(`/proc/${pid}`));
  });
}

test("a container's processes inherit no signal's disposition and no descriptor", { skip }, async () => {
  const script = "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l";
  await using lab = await ShimLab.start(["/bin/sh", "-c", script]);
  const log = join(lab.folder, "out");
  await lab.create({ stdout: `file://${log}` });
  await lab.task.start({ id: lab.id });
  await lab.task.wait({ id: lab.id });
  // ls has one more for the directory.
  assert.match(readFileSync(log, "utf8"), /SigBlk:\s+0{16}\nSigIgn:\s+0{16}\n4\n/);
});

test("the shim is one worse than its daemon before the kernel's killer, its container as its spec says", {
  skip,
}, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "1000"], (config) => {
    (config.process as { oomScoreAdj?: number }).oomScoreAdj = 321;
  });
  const { pid } = await lab.create();
  assert.equal(scoreOf(lab.shimPid), Math.min(scoreOf("self") + 1, 1000));
  await lab.task.start({ id: lab.id });
  assert.equal(scoreOf(pid), 321);
});

test("orphans of a container in the host's pid namespace are reaped, and end with it", { skip }, async () => {
  const script =
    "for i in 1 2 3 4 5 6 7 8; do (sh -c 'sleep 0.1 & exec true' &) ; done; (sleep 900 &) ; sleep 1; exit 6";
  await using lab = await ShimLab.start(["/bin/sh", "-c", script], (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => type !== "pid");
  });
  await lab.create();
  await lab.task.start({ id: lab.id });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 6);
  await lab.eventually("no child and no zombie", () => lab.children().length === 0);
  assert.equal((await lab.task.delete({ id: lab.id })).exitStatus, 6);
});

/** A daemon at the events' address that takes its time: what it was asked, and when it answers. */
class SlowDaemon implements Disposable {
  readonly events: Envelope[] = [];
  connections = 0;
  answers = true;
  readonly #server: Server;
  readonly #path: string;
  readonly #sockets = new Set<Socket>();
  #owed: (() => void)[] = [];

  constructor(path: string) {
    this.#path = path;
    this.#server = createServer((socket) => this.#serve(socket)).listen(path);
  }

  answer(): void {
    this.answers = true;
    for (const pay of this.#owed.splice(0)) pay();
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    rmSync(this.#path, { force: true });
  }

  #serve(socket: Socket): void {
    this.connections++;
    this.#sockets.add(socket);
    let input = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (part) => {
      input = Buffer.concat([input, part as Buffer]);
      while (input.length >= 10 && input.length >= 10 + input.readUInt32BE(0)) {
        const end = 10 + input.readUInt32BE(0);
        const request = Request.decode(new Uint8Array(input.subarray(10, end)));
        this.events.push(ForwardRequest.decode(request.payload).envelope!);
        this.#reply(socket, input.readUInt32BE(4));
        input = input.subarray(end);
      }
    });
  }

  #reply(socket: Socket, stream: number): void {
    const bytes = encodeFrame(stream, FRAME_RESPONSE, Response.encode({ status: null, payload: new Uint8Array(0) }));
    const pay = () => void socket.write(bytes);
    if (this.answers) pay();
    else this.#owed.push(pay);
  }
}

const topicsOf = (daemon: SlowDaemon) => daemon.events.map(({ topic }) => topic);

test("a daemon that is stopped for long gets each event once, in order, when it goes on", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "1000"]);
  lab.daemonDown();
  using daemon = new SlowDaemon(join(lab.folder, "events"));
  daemon.answers = false;
  await lab.connect();
  await lab.create();
  await lab.task.start({ id: lab.id });
  for (let at = 0; at < 20; at++) {
    await lab.task.pause({ id: lab.id });
    await lab.task.resume({ id: lab.id });
  }
  // Longer than an attempt of the original takes.
  await sleep(6000);
  assert.deepEqual([topicsOf(daemon), daemon.connections], [["/tasks/create"], 1]);
  daemon.answer();
  await lab.eventually("all events", () => daemon.events.length >= 42);
  const expected = ["/tasks/create", "/tasks/start", ...Array(20).fill(["/tasks/paused", "/tasks/resumed"]).flat()];
  assert.deepEqual(topicsOf(daemon), expected);
});

test("another daemon at the same path gets what the first did not, without being told of the shim", {
  skip,
}, async () => {
  await using lab = await running("/bin/sh", "-c", "sleep 0.5; exit 5");
  lab.daemonDown();
  await lab.connect();
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 5);
  await sleep(1000);
  using daemon = new SlowDaemon(join(lab.folder, "events"));
  await lab.eventually("the exit", () => topicsOf(daemon).includes("/tasks/exit"));
  assert.deepEqual(topicsOf(daemon), ["/tasks/exit"]);
});

test("a daemon that never comes back costs a bounded queue, and Shutdown does not wait for it", { skip }, async () => {
  await using lab = await running();
  lab.daemonDown();
  await lab.connect();
  for (let at = 0; at < 60; at++) {
    await lab.task.pause({ id: lab.id });
    await lab.task.resume({ id: lab.id });
  }
  await lab.task.kill({ id: lab.id, signal: 9 });
  await lab.task.wait({ id: lab.id });
  await lab.task.delete({ id: lab.id });
  await lab.task.shutdown({ id: lab.id });
  await lab.eventually("the shim's end", () => !lab.alive());
});

test("USR1 writes the tasks into the shim's log", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "1000"], () => {}, { log: true });
  const { pid } = await lab.create();
  process.kill(lab.shimPid, "SIGUSR1");
  await lab.eventually("the line", () => lab.log().includes("tasks:"));
  assert.match(lab.log(), new RegExp(`level=info msg="tasks: ${lab.id} ${pid} created \\(\\); events (sent|waiting)"`));
});
