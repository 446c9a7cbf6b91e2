// What idle shims cost: 1, 20, 100 and 1,000 containers that do nothing, under our shim and under the original, started
// as a daemon starts them, without one. Of a shim: resident, proportional and private memory, and threads (medians); of
// a container: how much less memory the machine has available, and what its own control group is charged with.

import { spawnSync } from "node:child_process";
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Options } from "../api/task/gen/runc_options.ts";
import { Task as TaskV2 } from "../api/task/gen/task_v2.ts";
import { Task } from "../api/task/gen/task_v3.ts";
import { nodeClock } from "../runtime/node/runtime.ts";
import { connectUnix } from "../runtime/node/socket.ts";
import { layout } from "../tools/build/paths.ts";
import type { ClientOf } from "../wire/call.ts";
import { TtrpcClient } from "../wire/ttrpc/client.ts";
import { NAMESPACE_HEADER } from "../wire/ttrpc/metadata.ts";
import { type Bundle, makeBundle } from "./bundle.ts";
import { type Figure, figure, median } from "./harness.ts";
import { memoryOf } from "./memory.ts";

const COUNTS = [1, 20, 100, 1000];
const EXECS = 1000;
/** Bytes of output, in lines, that stand for a day's. */
const OUTPUT = 1 << 30;
/** Milliseconds after which everything has come to rest. */
const REST = 2000;

export interface Side {
  label: string;
  shim: string;
  runc: string;
  /** The original knows the second version of the task service only. */
  second: boolean;
}

export const SIDES: readonly Side[] = [
  { label: "gantry", shim: join(layout.bin, "containerd-shim-runc-v2"), runc: join(layout.bin, "runc"), second: false },
  { label: "go", shim: "/usr/bin/containerd-shim-runc-v2", runc: "/usr/sbin/runc", second: true },
];

interface Idle {
  shim: number;
  pid: number;
  task: ClientOf<typeof Task>;
  id: string;
}

export async function* run(): AsyncGenerator<Figure> {
  for (const count of COUNTS) {
    const found: Record<string, Awaited<ReturnType<typeof measure>>> = {};
    for (const side of SIDES) found[side.label] = await measure(side, count);
    const values = (pick: (one: Awaited<ReturnType<typeof measure>>) => number) =>
      Object.fromEntries(Object.entries(found).map(([label, one]) => [label, pick(one)]));
    const name = `${count} idle: one shim's`;
    yield figure(
      `${name} RSS`,
      "kB",
      values(({ rss }) => rss),
    );
    yield figure(
      `${name} PSS`,
      "kB",
      values(({ pss }) => pss),
    );
    yield figure(
      `${name} private memory`,
      "kB",
      values((one) => one.private),
    );
    yield figure(
      `${name} threads`,
      "",
      values(({ threads }) => threads),
    );
    yield figure(
      `${count} idle: charged to one container's cgroup`,
      "kB",
      values(({ charged }) => charged),
    );
    if (count > 1)
      yield figure(
        `${count} idle: less available, each`,
        "kB",
        values(({ available }) => available),
      );
  }
  yield* used();
}

/** Our shim after a thousand processes were executed in its container, and after a day's output. */
async function* used(): AsyncGenerator<Figure> {
  {
    await using place = new Place(SIDES[0]!);
    const idle = await place.start();
    for (let at = 0; at < EXECS; at++) await execute(idle, `e${at}`);
    await sleep(REST);
    const { rss, private: own, threads } = memoryOf(idle.shim);
    yield figure(`after ${EXECS} execs: RSS`, "kB", { gantry: rss });
    yield figure(`after ${EXECS} execs: private memory`, "kB", { gantry: own });
    yield figure(`after ${EXECS} execs: threads`, "", { gantry: threads });
  }
  await using place = new Place(SIDES[0]!);
  const line = "0123456789".repeat(10);
  const idle = await place.start(`yes ${line} | head -c ${OUTPUT}; sleep 100000`, `json-file://${place.folder}/log`);
  for (let before = -1, now = 0; now !== before; [before, now] = [now, written(idle.shim)]) await sleep(REST);
  const { rss, private: own } = memoryOf(idle.shim);
  yield figure("after 1 GiB of output to json-file: RSS", "kB", { gantry: rss });
  yield figure("after 1 GiB of output to json-file: private memory", "kB", { gantry: own });
}

function written(pid: number): number {
  return Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
}

async function execute({ task, id }: Idle, execId: string): Promise<void> {
  const process = { args: ["true"], cwd: "/", env: ["PATH=/bin"], user: { uid: 0, gid: 0 } };
  const spec = {
    typeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process",
    value: new TextEncoder().encode(JSON.stringify(process)),
  };
  await task.exec({ id, execId, spec, terminal: false, stdin: "", stdout: "", stderr: "" });
  await task.start({ id, execId });
  await task.wait({ id, execId });
  await task.delete({ id, execId });
}

async function measure(side: Side, count: number) {
  await using place = new Place(side);
  const before = availableMemory();
  const idle: Idle[] = [];
  for (let at = 0; at < count; at++) idle.push(await place.start());
  await sleep(REST);
  const available = (before - availableMemory()) / count;
  const memory = idle.map(({ shim }) => memoryOf(shim));
  const middle = (pick: "rss" | "pss" | "private" | "threads") => median(memory.map((one) => one[pick]));
  return {
    ...{ rss: middle("rss"), pss: middle("pss"), private: middle("private"), threads: middle("threads") },
    ...{ available, charged: median(idle.map(({ pid }) => chargedTo(pid))) },
  };
}

/** kB. */
function availableMemory(): number {
  spawnSync("sync");
  return Number(/^MemAvailable:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
}

/** What the memory controller counts for a process's group, in kB; 0 where there is none. */
function chargedTo(pid: number): number {
  const groups = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  const legacy = /^\d+:(?:.*,)?memory(?:,.*)?:(.*)$/m.exec(groups)?.[1];
  const path =
    legacy === undefined
      ? `/sys/fs/cgroup${/^0::(.*)$/m.exec(groups)?.[1]}/memory.current`
      : `/sys/fs/cgroup/memory${legacy}/memory.usage_in_bytes`;
  try {
    return Number(readFileSync(path, "utf8")) / 1024;
  } catch {
    return 0;
  }
}

/** Bundles with one root between them, and the shims that serve them. */
export class Place implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "gantry-bench-shims-"));
  readonly #side: Side;
  readonly #root: Bundle = makeBundle(["sleep", "100000"]);
  readonly #clients: TtrpcClient[] = [];
  readonly #idle: Idle[] = [];
  readonly #logs: number[] = [];

  constructor(side: Side) {
    this.#side = side;
  }

  async start(script: string | null = null, output = ""): Promise<Idle> {
    const { shim, runc, second } = this.#side;
    const id = `${basename(this.folder)}-${this.#idle.length}`;
    const bundle = this.#bundle(id, script);
    const namespace = basename(this.folder);
    const flags = ["-namespace", namespace, "-id", id, "-address", join(this.folder, "grpc")];
    const env = { ...process.env, TTRPC_ADDRESS: "", CONTAINERD_SHIM_SOCKET_DIR: join(this.folder, "s") };
    const line = [...flags, "-publish-binary", "/bin/true", "start"];
    const { stdout, stderr } = spawnSync(shim, line, { cwd: bundle, env, input: "", encoding: "utf8" });
    if (!stdout.startsWith("unix://")) throw new Error(`${shim} did not start: ${stdout}${stderr}`);
    const stream = await connectUnix(stdout.trim().replace("unix://", ""));
    const client = new TtrpcClient(stream, { clock: nodeClock, headers: { [NAMESPACE_HEADER]: namespace } });
    this.#clients.push(client);
    const task = client.of((second ? { ...Task, name: TaskV2.name } : Task) as typeof Task);
    const value = Options.encode(Options.create({ root: join(this.folder, "runc"), binaryName: runc }));
    const options = { typeUrl: Options.typeName, value };
    const { pid } = await task.create({ id, bundle, options, stdout: output, stderr: output });
    await task.start({ id });
    const idle = { shim: (await task.connect({ id })).shimPid, pid, task, id };
    this.#idle.push(idle);
    return idle;
  }

  /** Makes a file in the root of the containers. */
  touch(name: string): void {
    writeFileSync(join(this.#root.path, "rootfs", name), "");
  }

  #bundle(id: string, script: string | null): string {
    const path = join(this.folder, id);
    mkdirSync(path);
    const config = JSON.parse(readFileSync(join(this.#root.path, "config.json"), "utf8"));
    config.root = { path: join(this.#root.path, "rootfs"), readonly: false };
    if (script !== null) config.process.args = ["/bin/busybox", "sh", "-c", script];
    writeFileSync(join(path, "config.json"), JSON.stringify(config));
    // The original opens it before it serves, and waits for a reader.
    spawnSync("mkfifo", [join(path, "log")]);
    this.#logs.push(openSync(join(path, "log"), constants.O_RDWR | constants.O_NONBLOCK));
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { task, id } of this.#idle) {
      // It may have ended by itself.
      await task.kill({ id, signal: 9, all: true }).catch(() => {});
      await task.wait({ id });
      await task.delete({ id });
      await task.shutdown({ id, now: true }).catch(() => {});
    }
    for (const client of this.#clients) client.close();
    for (const log of this.#logs) closeSync(log);
    this.#root[Symbol.dispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
