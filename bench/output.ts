// A container's output beside Docker's: `cat` of a file of lines into the log, by wall clock and by processor time of
// all that stands between the container and its log; ten containers at once; a client that reads, and one that does
// not; the time from a write in the container to its arrival at a client, in quiet and under load. Figures are for each
// GiB of output. Both logs are bounded alike (20 MB, 5 files), and each side's data lie on the same disk.

import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Lab } from "../test/lab.ts";
import { type Figure, figure, median } from "./harness.ts";
import { parentOf, processorTime } from "./memory.ts";
import { OriginalDocker } from "./original.ts";

const GIB = 2 ** 30;
const ROUNDS = 3;
const POLL = 2;
/** Milliseconds after which a container is said to stand still. */
const STILL = 60_000;
const SETTLE = 300;
const CROWD = 10;
const SAMPLES = 150;
const BOUNDS = ["--log-opt", "max-size=20m", "--log-opt", "max-file=5"];

interface Side {
  label: string;
  docker: (...args: string[]) => string;
  socket: string;
  /** Pids of all daemons between. */
  daemons: () => number[];
}

interface Sample {
  /** Seconds for each GiB. */
  wall: number;
  cpu: number;
  /** Of the shim, kB, one second after. */
  memory: number;
}

interface Load {
  file: string;
  bytes: number;
}

export function run(): AsyncGenerator<Figure> {
  return beside(async function* (sides, folder) {
    yield* throughput(sides, folder);
    yield* clients(sides, folder);
    yield* crowd(sides, folder);
  });
}

export function runLatency(): AsyncGenerator<Figure> {
  return beside(latency);
}

type Part = (sides: readonly Side[], folder: string) => AsyncGenerator<Figure>;

async function* beside(part: Part): AsyncGenerator<Figure> {
  const folder = mkdtempSync(join(tmpdir(), "gantry-bench-output-"));
  try {
    await using lab = new Lab();
    await using original = new OriginalDocker();
    await original.start();
    await lab.engine.start();
    await lab.engine.haveBusybox();
    const sides: Side[] = [
      {
        label: "gantry",
        docker: (...args) => lab.docker(...args),
        socket: join(lab.engine.places.run, "docker.sock"),
        daemons: () => daemonsOf(lab.engine.places.run),
      },
      {
        label: "docker",
        docker: (...args) => command("/usr/bin/docker", "-H", original.host, ...args),
        socket: `${original.path}/docker.sock`,
        daemons: () => Object.values(original.pids),
      },
    ];
    yield* part(sides, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function* throughput(sides: readonly Side[], folder: string): AsyncGenerator<Figure> {
  const loads = [
    { name: "100-byte lines", load: linesOf(folder, 100, GIB), drivers: ["json-file", "local"] },
    { name: "10-byte lines", load: linesOf(folder, 10, GIB / 16), drivers: ["json-file"] },
    { name: "50,000-byte lines", load: linesOf(folder, 50_000, GIB / 4), drivers: ["json-file", "local"] },
  ];
  for (const { name, load, drivers } of loads) {
    for (const driver of drivers) {
      const taken = new Map(sides.map((side) => [side, [] as Sample[]]));
      for (let round = 0; round < ROUNDS; round++) {
        for (const [side, samples] of taken) samples.push(await cat(side, load, { driver, folder }));
      }
      yield* figuresOf(`${driver}, ${name}`, taken);
    }
    rmSync(load.file);
  }
}

function* figuresOf(name: string, taken: ReadonlyMap<Side, readonly Sample[]>): Generator<Figure> {
  const values = (pick: keyof Sample) =>
    Object.fromEntries([...taken].map(([side, samples]) => [side.label, median(samples.map((one) => one[pick]))]));
  yield figure(`${name}: time`, "s/GiB", values("wall"));
  yield figure(`${name}: processor time of shim and daemons`, "s/GiB", values("cpu"));
  yield figure(`${name}: private dirty memory of the shim afterwards`, "kB", values("memory"));
}

/** While one client reads all of it, and while one reads nothing. */
async function* clients(sides: readonly Side[], folder: string): AsyncGenerator<Figure> {
  const load = linesOf(folder, 100, GIB / 8);
  const reading = new Map(sides.map((side) => [side, [] as Sample[]]));
  const stalled = new Map(sides.map((side) => [side, [] as Sample[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of sides) {
      reading
        .get(side)!
        .push(await cat(side, load, { driver: "json-file", folder, client: (socket) => socket.resume() }));
      if (side.label === "docker" && round > 0) continue;
      stalled
        .get(side)!
        .push(await cat(side, load, { driver: "json-file", folder, client: (socket) => socket.pause() }));
    }
  }
  yield* figuresOf("json-file, 100-byte lines, a client that reads", reading);
  const time = Object.fromEntries(
    [...stalled].map(([side, samples]) => [side.label, median(samples.map((one) => one.wall))]),
  );
  yield figure(
    "json-file, 100-byte lines, a client that does not read: time",
    "s/GiB",
    time,
    `from ${STILL / 1000} s: it stands`,
  );
}

async function* crowd(sides: readonly Side[], folder: string): AsyncGenerator<Figure> {
  const load = linesOf(folder, 100, GIB / 16);
  const times = new Map(sides.map((side) => [side.label, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const side of sides) {
      const gates = Array.from({ length: CROWD }, () => new Gate(side, load, { driver: "json-file", folder }));
      const before = performance.now();
      for (const gate of gates) gate.open();
      await Promise.all(gates.map((gate) => gate.passed()));
      times.get(side.label)!.push((performance.now() - before) / 1000 / ((load.bytes * CROWD) / GIB));
      for (const gate of gates) gate.remove();
    }
  }
  const values = Object.fromEntries([...times].map(([label, list]) => [label, median(list)]));
  yield figure(`${CROWD} containers at once, json-file, 100-byte lines: time`, "s/GiB", values);
}

/** From a line's way into the container's `cat` to the client that is attached. */
async function* latency(sides: readonly Side[], folder: string): AsyncGenerator<Figure> {
  const load = linesOf(folder, 100, GIB / 4);
  const quiet = await eachLatency(sides, folder, null);
  yield figure("a line from the container to a client: median", "ms", pick(quiet, 0.5));
  yield figure("a line from the container to a client: 99th of 100", "ms", pick(quiet, 0.99));
  const busy = await eachLatency(sides, folder, load);
  yield figure("the same while another container prints at full speed: median", "ms", pick(busy, 0.5));
  yield figure("the same while another container prints at full speed: 99th of 100", "ms", pick(busy, 0.99));
}

function pick(samples: ReadonlyMap<string, readonly number[]>, rank: number): Record<string, number> {
  const at = (list: readonly number[]) => list.toSorted((a, b) => a - b)[Math.floor(list.length * rank)]!;
  return Object.fromEntries([...samples].map(([label, list]) => [label, at(list)]));
}

async function eachLatency(sides: readonly Side[], folder: string, load: Load | null): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  for (const side of sides) {
    const gate = load === null ? null : new Gate(side, load, { driver: "json-file", folder, again: true });
    gate?.open();
    found.set(side.label, await latencies(side, folder));
    gate?.remove();
  }
  return found;
}

async function latencies(side: Side, folder: string): Promise<number[]> {
  const sync = mkdtempSync(join(folder, "sync-"));
  command("mkfifo", join(sync, "in"));
  const mount = `${sync}:/sync`;
  const id = side.docker("run", "-d", "--network", "none", ...BOUNDS, "-v", mount, "busybox", "cat", "/sync/in").trim();
  const socket = await attach(side, id);
  const fifo = openSync(join(sync, "in"), "w");
  const taken: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    await sleep(10);
    const arrived = new Promise((resolve) => socket.once("data", resolve));
    const before = performance.now();
    writeSync(fifo, `line ${sample}\n`);
    await arrived;
    taken.push(performance.now() - before);
  }
  closeSync(fifo);
  socket.destroy();
  side.docker("rm", "-f", id);
  return taken;
}

/** One container that prints the file once it may. */
class Gate {
  readonly #side: Side;
  readonly #sync: string;
  readonly id: string;

  constructor(side: Side, load: Load, how: { driver: string; folder: string; again?: boolean }) {
    this.#side = side;
    this.#sync = mkdtempSync(join(how.folder, "sync-"));
    const print = how.again === true ? "while :; do cat /data; done" : "cat /data";
    const script = `while [ ! -e /sync/go ]; do usleep 2000; done; ${print}; echo > /sync/done; sleep 1000`;
    const mounts = ["-v", `${this.#sync}:/sync`, "-v", `${load.file}:/data:ro`];
    const options = ["--network", "none", "--log-driver", how.driver, ...BOUNDS, ...mounts];
    this.id = side.docker("run", "-d", ...options, "busybox", "sh", "-c", script).trim();
  }

  get pid(): number {
    return Number(this.#side.docker("inspect", "-f", "{{.State.Pid}}", this.id));
  }

  open(): void {
    writeFileSync(join(this.#sync, "go"), "");
  }

  async passed(): Promise<void> {
    for (const until = performance.now() + STILL; !existsSync(join(this.#sync, "done")); await sleep(POLL)) {
      if (performance.now() > until) return;
    }
  }

  remove(): void {
    this.#side.docker("rm", "-f", this.id);
    rmSync(this.#sync, { recursive: true });
  }
}

async function cat(
  side: Side,
  load: Load,
  how: { driver: string; folder: string; client?: (socket: Socket) => void },
): Promise<Sample> {
  const gate = new Gate(side, load, how);
  const socket = how.client === undefined ? null : await attach(side, gate.id);
  if (socket !== null) how.client!(socket);
  const shim = parentOf(gate.pid);
  const pids = [shim, ...side.daemons()];
  await sleep(SETTLE);
  const cpu = pids.map(processorTime);
  const before = performance.now();
  gate.open();
  await gate.passed();
  const wall = (performance.now() - before) / 1000;
  // What is on its way through the pipes is worked off.
  await sleep(SETTLE);
  const used = pids.reduce((sum, pid, at) => sum + processorTime(pid) - cpu[at]!, 0);
  await sleep(1000);
  const memory = changedMemory(shim);
  socket?.destroy();
  gate.remove();
  const gib = load.bytes / GIB;
  return { wall: wall / gib, cpu: used / gib, memory };
}

/** The container's stdout as the daemon streams it. */
async function attach(side: Side, id: string): Promise<Socket> {
  const socket = connect(side.socket);
  socket.on("error", () => {});
  const head = ["Host: docker", "Connection: Upgrade", "Upgrade: tcp", "Content-Length: 0"];
  socket.write(`POST /containers/${id}/attach?stream=1&stdout=1 HTTP/1.1\r\n${head.join("\r\n")}\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  return socket;
}

function linesOf(folder: string, length: number, bytes: number): Load {
  const file = join(folder, `lines-${length}-${bytes}`);
  const words = "2026-01-02 03:04:05 INFO request served in 12 ms, path=/api/v1/things, status=200, agent=unknown; ";
  const line = `${words.repeat(Math.ceil(length / words.length)).slice(0, length - 1)}\n`;
  const block = Buffer.from(line.repeat(Math.ceil(2 ** 20 / length)));
  const output = openSync(file, "w");
  const blocks = Math.ceil(bytes / block.length);
  for (let at = 0; at < blocks; at++) writeSync(output, block);
  closeSync(output);
  return { file, bytes: blocks * block.length };
}

/** What is the process's alone and not a file's, in kB: its executable may or may not be mapped by others. */
function changedMemory(pid: number): number {
  return Number(/^Private_Dirty:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))![1]);
}

/** Our daemons of an engine: their command lines name its run folder. */
function daemonsOf(run: string): number[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return line.includes(run) && /(^|\/)(dockerd|containerd)\0/.test(line);
      } catch {
        return false;
      }
    })
    .map(Number);
}

function command(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
  return stdout;
}
