// Byte streams and requests that no daemon sends, to the socket of a shim with a living container. Each case comes from
// a seed, which a failure names: GANTRY_SHIM_SEED repeats it, GANTRY_SHIM_CASES runs more of them.

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Options } from "../../api/task/gen/runc_options.ts";
import * as task from "../../api/task/gen/task_v3.ts";
import { Request } from "../../api/wellknown/gen/ttrpc.ts";
import { encodeFrame, FRAME_REQUEST } from "../../wire/ttrpc/frame.ts";
import { ShimLab, skip } from "../path/shim-lab.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";

const SEED = Number(process.env["GANTRY_SHIM_SEED"] ?? 1);
const CASES = Number(process.env["GANTRY_SHIM_CASES"] ?? 300);
/** After so many cases the shim is asked whether all is well. */
const CHECK = 20;
const PROCESS = "types.containerd.io/opencontainers/runtime-spec/1/Process";
const SPEC = JSON.stringify({
  args: ["/bin/true"],
  cwd: "/",
  env: ["PATH=/bin"],
  user: { uid: 0, gid: 0, additionalGids: [1] },
  capabilities: { bounding: ["CAP_KILL"] },
  rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
  noNewPrivileges: true,
});
const NAMES = [
  "",
  "x",
  "ghost",
  "../x",
  "a/b",
  "\0",
  "__proto__",
  "é".repeat(300),
  "-rf",
  "e".repeat(5000),
  ".",
  "a b",
];
const STREAMS = [
  "",
  "gopher://x",
  "binary://",
  "binary:///nowhere?a",
  "json-file://x",
  "/nowhere/f",
  "fifo://",
  "file:",
  "%",
];

const text = (from: string) => new Uint8Array(Buffer.from(from));

/** Requests whose effects stay within the container, and those of others that name no container. */
function someRequest(random: Random, id: string): { method: string; payload: Uint8Array } {
  const execId = random.pick(NAMES);
  const ghost = random.pick(NAMES.filter((name) => name !== id));
  const spec = mutate(SPEC, random, text).bytes;
  const number = random.pick([0, 1, 80, 65535, 65536, 0x7fffffff, 0xffffffff]);
  const [stdin, stdout, stderr] = [random.pick(STREAMS), random.pick(STREAMS), random.pick(STREAMS)];
  const terminal = random.oneIn(4);
  const options = { typeUrl: random.pick([Options.typeName, "x.Y", ""]), value: spec.subarray(0, random.below(40)) };
  const of = <T>(
    method: string,
    type: { encode: (message: T) => Uint8Array; create: (given?: Partial<T>) => T },
    given: Partial<T>,
  ) => ({
    method,
    payload: type.encode(type.create(given)),
  });
  return random.pick([
    () => of("State", task.StateRequest, { id, execId }),
    () => of("Wait", task.WaitRequest, { id, execId }),
    () => of("Pids", task.PidsRequest, { id }),
    () => of("Stats", task.StatsRequest, { id }),
    () => of("Connect", task.ConnectRequest, { id: ghost }),
    () => of("ResizePty", task.ResizePtyRequest, { id, execId, width: number, height: number }),
    () => of("CloseIO", task.CloseIORequest, { id, execId, stdin: terminal }),
    () => of("Exec", task.ExecProcessRequest, { id, execId, spec: { typeUrl: PROCESS, value: spec } }),
    () => of("Exec", task.ExecProcessRequest, { id, execId, stdin, stdout, stderr, terminal, spec: null }),
    () => of("Start", task.StartRequest, { id, execId: execId === "" ? "x" : execId }),
    () => of("Delete", task.DeleteRequest, { id, execId: execId === "" ? "x" : execId }),
    () => of("Kill", task.KillRequest, { id: ghost, execId, signal: number, all: terminal }),
    () => of("Pause", task.PauseRequest, { id: ghost }),
    () => of("Update", task.UpdateTaskRequest, { id: ghost, resources: { typeUrl: "", value: spec } }),
    () => of("Checkpoint", task.CheckpointTaskRequest, { id: ghost, path: stdout, options }),
    () => of("Create", task.CreateTaskRequest, { id: ghost, bundle: "/nowhere", stdin, stdout, stderr, options }),
  ])();
}

function someFrames(random: Random, id: string): Uint8Array {
  const frames = Array.from({ length: 1 + random.below(6) }, (_, at) => {
    const service = random.pick([task.Task.name, "containerd.task.v2.Task", "grpc.health.v1.Health", ""]);
    const timeoutNano = random.pick([0n, 0n, 1n, 50_000_000n, 2n ** 63n - 1n, -1n]);
    const metadata = [{ key: random.pick(NAMES), value: random.pick(NAMES) }];
    const request = Request.encode({ service, ...someRequest(random, id), timeoutNano, metadata });
    return encodeFrame(random.oneIn(10) ? random.next() : 2 * at + 1, FRAME_REQUEST, request);
  });
  const bytes = Buffer.concat(frames);
  if (random.oneIn(2)) return bytes;
  return spoil(bytes, random);
}

/** Changes bytes, which may be lengths, and cuts, doubles or swaps parts. */
function spoil(bytes: Buffer, random: Random): Buffer {
  const at = random.below(bytes.length);
  const parts = [bytes.subarray(0, at), bytes.subarray(at)] as const;
  return random.pick([
    () => parts[0],
    () => Buffer.concat([parts[1], parts[0]]),
    () => Buffer.concat([bytes, parts[0]]),
    () => Buffer.concat([parts[0], Buffer.alloc(random.below(9000), random.below(256)), parts[1]]),
    () => {
      for (let left = 1 + random.below(8); left > 0; left--) bytes[random.below(bytes.length)] = random.below(256);
      return bytes;
    },
    () => {
      bytes.writeUInt32BE(random.pick([0, 1, 9, 0xffff, 4 << 20, (4 << 20) + 1, 0x7fffffff, 0xffffffff]), 0);
      return bytes;
    },
  ])();
}

/** Sends it in pieces and leaves in one of several ways. */
async function send(path: string, bytes: Uint8Array, random: Random): Promise<void> {
  const socket: Socket = connect(path);
  socket.on("error", () => {});
  if (random.oneIn(4)) socket.pause();
  else socket.resume();
  for (let at = 0; at < bytes.length; ) {
    const next = at + 1 + random.below(random.oneIn(3) ? 20 : 5000);
    socket.write(bytes.subarray(at, next));
    at = next;
    if (random.oneIn(5)) await sleep(1);
  }
  if (random.oneIn(2)) await sleep(random.below(8));
  if (random.oneIn(3)) socket.end();
  else socket.destroy();
  setTimeout(() => socket.destroy(), 2000).unref();
}

test("a shim and its container survive what no daemon sends", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sleep", "1000"]);
  await lab.create();
  const { pid } = await lab.task.start({ id: lab.id });
  const path = lab.address.replace(/^unix:\/\//, "");
  for (let at = 0; at < CASES; at++) {
    const seed = SEED + at;
    const random = new Random(seed);
    await send(path, someFrames(random, lab.id), random);
    if (at % CHECK !== CHECK - 1) continue;
    const state = await lab.task.state({ id: lab.id }, { timeout: 20_000 });
    assert.deepEqual([state.status, state.pid], [2, pid], `by seed ${seed}`);
  }
  for (const { execId } of await execs(lab)) await lab.task.delete({ id: lab.id, execId }).catch(() => {});
  await lab.eventually("the end of all connections", () => socketsOf(lab) < 8, 20_000);
  await lab.eventually("no zombie", () => lab.children().every(({ state }) => state !== "Z"));
  assert(lab.memory() < 30_000, `${lab.memory()} kB after seeds ${SEED} to ${SEED + CASES - 1}`);
  await lab.task.kill({ id: lab.id, signal: 9 });
  assert.equal((await lab.task.wait({ id: lab.id })).exitStatus, 137);
});

function socketsOf(lab: ShimLab): number {
  return lab.descriptors().filter((name) => name.startsWith("socket:")).length;
}

async function execs(lab: ShimLab): Promise<{ execId: string }[]> {
  const found = await Promise.all(
    NAMES.map(async (execId) => {
      const there = await lab.task.state({ id: lab.id, execId }).catch(() => null);
      return there === null || execId === "" ? [] : [{ execId }];
    }),
  );
  return found.flat();
}
