// One shim, driven as a daemon drives it: bundles with a busybox root, its start, the task service over ttrpc, events,
// attach sockets. Nothing is left when the lab is closed.

import { spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Envelope } from "../../api/containerd/gen/types.ts";
import { decodePlaces, encodePlaces, type Places } from "../../api/task/attach.ts";
import { BootstrapParams, BootstrapResult } from "../../api/task/gen/bootstrap.ts";
import { Events } from "../../api/task/gen/events.ts";
import { Options } from "../../api/task/gen/runc_options.ts";
import { Task as TaskV2 } from "../../api/task/gen/task_v2.ts";
import { type CreateTaskRequest, Task } from "../../api/task/gen/task_v3.ts";
import { makeBundle } from "../../bench/bundle.ts";
import { nodeClock } from "../../runtime/node/runtime.ts";
import { connectUnix, listenUnix } from "../../runtime/node/socket.ts";
import type { ClientOf } from "../../wire/call.ts";
import type { AnyService } from "../../wire/protobuf/service.ts";
import { TtrpcClient } from "../../wire/ttrpc/client.ts";
import { NAMESPACE_HEADER } from "../../wire/ttrpc/metadata.ts";
import { TtrpcServer } from "../../wire/ttrpc/server.ts";

const BIN = process.env["GANTRY_BIN"] ?? join(import.meta.dirname, "../../dist/bin");
export const SHIM = join(BIN, "containerd-shim-runc-v2");
/** Ours; GANTRY_TEST_RUNC names another, such as Debian's (test/swap/shim.test.ts has that one, too). */
export const RUNC = process.env["GANTRY_TEST_RUNC"] ?? join(BIN, "runc");
export const skip = existsSync(SHIM) && existsSync(RUNC) && process.getuid?.() === 0 ? false : "needs a build and root";
const APPLETS = ["seq", "dd", "yes", "head", "tty", "stty", "ps", "kill", "printf", "usleep", "wc", "ls", "tail"];

/** Which shim and runtime a lab drives; ours unless said. */
export interface Sides {
  shim?: string;
  runc?: string;
  /** A shim of containerd 2.3 or later wants the bootstrap parameters. */
  bootstraps?: boolean;
  /** A shim of containerd 1.x knows the second version of the task service only. */
  second?: boolean;
  /** Whether what the shim says of itself is read. */
  log?: boolean;
}

export class ShimLab implements AsyncDisposable {
  readonly #sides: Sides;
  readonly folder = mkdtempSync(join(tmpdir(), "gantry-shim-"));
  readonly namespace = basename(this.folder);
  readonly id: string;
  readonly events: Envelope[] = [];
  address = "";
  shimPid = 0;
  task!: ClientOf<typeof Task>;
  #client: TtrpcClient | null = null;
  #daemon: { server: TtrpcServer; listener: { close(): void } } | null = null;
  readonly #bundles: Disposable[] = [];
  readonly #logs: number[] = [];
  #said = "";

  private constructor(sides: Sides) {
    this.#sides = sides;
    this.id = `${this.namespace}-a`;
  }

  /** A shim whose container would run `args`; its daemon listens for events. */
  static async start(args: readonly string[], change: (config: Spec) => void = () => {}, sides: Sides = {}) {
    const lab = new ShimLab(sides);
    await lab.daemonUp();
    const bundle = lab.bundle(args, change);
    lab.address = lab.addressOf(lab.startCommand(lab.id, bundle, { input: lab.#bootstrapInput(lab.id) }));
    await lab.connect();
    lab.shimPid = (await lab.task.connect({ id: lab.id })).shimPid;
    lab.path = bundle;
    return lab;
  }

  /** The bundle of the first container. */
  path = "";

  bundle(args: readonly string[], change: (config: Spec) => void = () => {}): string {
    const made = makeBundle(args);
    this.#bundles.push(made);
    for (const applet of APPLETS) symlinkSync("busybox", join(made.path, "rootfs/bin", applet));
    const file = join(made.path, "config.json");
    const config = JSON.parse(readFileSync(file, "utf8")) as Spec;
    config.root.readonly = false;
    change(config);
    writeFileSync(file, JSON.stringify(config));
    if (this.#sides.shim !== undefined || this.#sides.log === true) this.#readLog(join(made.path, "log"));
    return made.path;
  }

  #bootstrapInput(instanceId: string): Uint8Array {
    const events = join(this.folder, "events");
    const params = { instanceId, namespace: this.namespace, containerdTtrpcAddress: events };
    const whole = { ...params, containerdGrpcAddress: join(this.folder, "grpc") };
    return this.#sides.bootstraps === true ? BootstrapParams.encode(BootstrapParams.create(whole)) : new Uint8Array(0);
  }

  /** The original opens this FIFO before it serves, and waits for a reader. */
  #readLog(path: string): void {
    spawnSync("mkfifo", [path]);
    this.#logs.push(openSync(path, constants.O_RDWR | constants.O_NONBLOCK));
  }

  /** What the shim has said of itself so far. */
  log(): string {
    const buffer = Buffer.alloc(64 << 10);
    try {
      for (const log of this.#logs) this.#said += buffer.toString("utf8", 0, readSync(log, buffer));
    } catch {
      // Nothing new.
    }
    return this.#said;
  }

  /** What `start` answered, in either form. */
  addressOf({ stdout, stderr, raw }: { stdout: string; stderr: string; raw: Buffer }): string {
    if (stdout === "") throw new Error(`start gave no address: ${stderr}`);
    return this.#sides.bootstraps === true ? BootstrapResult.decode(new Uint8Array(raw)).address : stdout.trim();
  }

  /** Two bundles side by side, as a daemon has them: the first container's, moved there, and one more. */
  siblings(id: string, args: readonly string[], change: (config: Spec) => void): { first: string; second: string } {
    const folder = join(this.folder, "bundles");
    mkdirSync(folder);
    const [first, second] = [join(folder, this.id), join(folder, id)];
    cpSync(this.path, first, { recursive: true, verbatimSymlinks: true });
    cpSync(this.bundle(args, change), second, { recursive: true, verbatimSymlinks: true });
    this.path = first;
    writeFileSync(join(first, "address"), this.address);
    this.startCommand(id, second);
    return { first, second };
  }

  startCommand(
    id: string,
    bundle: string,
    how: { action?: string; input?: Uint8Array; shim?: string; env?: Record<string, string>; pidfd?: number } = {},
  ) {
    const flags = ["-namespace", this.namespace, "-id", id, "-address", join(this.folder, "grpc")];
    const env = {
      ...process.env,
      TTRPC_ADDRESS: join(this.folder, "events"),
      CONTAINERD_SHIM_SOCKET_DIR: join(this.folder, "s"),
      ...how.env,
    };
    const line = [...flags, "-publish-binary", "/bin/false", how.action ?? "start"];
    const options = { cwd: bundle, env, input: how.input ?? "", timeout: 60_000 };
    const { status, stdout, stderr } = spawnSync(how.shim ?? this.#sides.shim ?? SHIM, line, {
      ...options,
      stdio: ["pipe", "pipe", "pipe", ...(how.pidfd === undefined ? [] : [how.pidfd])],
      encoding: "buffer",
    });
    return { status, stdout: stdout.toString(), stderr: stderr.toString(), raw: stdout };
  }

  async connect(): Promise<void> {
    this.#client = new TtrpcClient(await connectUnix(this.address.replace(/^unix:\/\//, "")), {
      clock: nodeClock,
      headers: { [NAMESPACE_HEADER]: this.namespace },
    });
    // The same messages under another name.
    const service = this.#sides.second === true ? { ...Task, name: TaskV2.name } : Task;
    this.task = this.#client.of(service as typeof Task);
  }

  /** Another service of the shim. */
  service<S extends AnyService>(service: S): ClientOf<S> {
    return this.#client!.of(service);
  }

  /** SIGKILL of the shim; resolves when it is gone. */
  async killShim(): Promise<void> {
    process.kill(this.shimPid, "SIGKILL");
    await this.eventually("the shim's end", () => !this.alive());
    this.#client?.close();
  }

  /** Another shim takes over, and the lab is connected to it. What it refuses with is thrown. */
  async adopt(how: { shim?: string; pidfd?: number; id?: string; bundle?: string } = {}): Promise<void> {
    const env: Record<string, string> = how.pidfd === undefined ? {} : { TASK_PIDFD: "3" };
    const { id = this.id, bundle = this.path } = how;
    const answer = this.startCommand(id, bundle, { ...how, action: "adopt", env });
    if (answer.status !== 0) throw new Error(`adopt: ${answer.status}: ${answer.stderr}`);
    this.address = answer.stdout.trim();
    await this.connect();
    this.shimPid = (await this.task.connect({ id: this.id })).shimPid;
  }

  /** The connection and the events' receiver go away, as with a killed daemon. */
  daemonDown(): void {
    this.#client?.close();
    this.#daemon?.listener.close();
    this.#daemon?.server.close();
    this.#daemon = null;
    rmSync(join(this.folder, "events"), { force: true });
  }

  async daemonUp(): Promise<void> {
    const listener = await listenUnix(join(this.folder, "events"), { mode: 0o600 });
    const server = new TtrpcServer(nodeClock);
    const keep = (envelope: Envelope) => void this.events.push(envelope);
    server.register(Events, {
      async forward({ envelope }) {
        keep(envelope!);
        return {};
      },
    });
    void server.serve(listener);
    this.#daemon = { server, listener };
  }

  /** Creates the task with the given streams; the runtime's states stay in the lab. */
  create(request: Partial<CreateTaskRequest> = {}): Promise<{ pid: number }> {
    const value = Options.encode(
      Options.create({ root: join(this.folder, "runc"), binaryName: this.#sides.runc ?? RUNC }),
    );
    const options = { typeUrl: Options.typeName, value };
    return this.task.create({ id: this.id, bundle: this.path, options, ...request });
  }

  topics(): string[] {
    return this.events.map((envelope) => envelope.topic);
  }

  async eventually(what: string, condition: () => boolean, timeout = 60_000): Promise<void> {
    for (const until = Date.now() + timeout; !condition(); await sleep(10)) {
      if (Date.now() > until) throw new Error(`${what} did not come: ${this.topics().join(" ")}`);
    }
  }

  /** Open descriptors of the shim. */
  descriptors(): string[] {
    const folder = `/proc/${this.shimPid}/fd`;
    return readdirSync(folder).map((name) => {
      try {
        return readlinkSync(join(folder, name));
      } catch {
        return "gone";
      }
    });
  }

  children(): { pid: number; state: string }[] {
    const found: { pid: number; state: string }[] = [];
    for (const name of readdirSync("/proc")) {
      if (!/^\d+$/.test(name) || !existsSync(`/proc/${name}/stat`)) continue;
      const [state, parent] = statOf(name);
      if (Number(parent) === this.shimPid) found.push({ pid: Number(name), state });
    }
    return found;
  }

  /** RSS of the shim in kilobytes. */
  memory(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.shimPid}/status`, "utf8"))![1]);
  }

  alive(): boolean {
    return existsSync(`/proc/${this.shimPid}`) && statOf(String(this.shimPid))[0] !== "Z";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.task?.kill({ id: this.id, signal: 9, all: true }).catch(() => {});
    await this.task?.wait({ id: this.id }, { timeout: 3000 }).catch(() => {});
    await this.task?.delete({ id: this.id }, { timeout: 5000 }).catch(() => {});
    await this.task?.shutdown({ id: this.id }, { timeout: 3000 }).catch(() => {});
    this.#client?.close();
    if (this.shimPid !== 0 && this.alive()) {
      await sleep(200);
      if (this.alive()) process.kill(this.shimPid, "SIGKILL");
    }
    this.daemonDown();
    for (const id of [this.id, `${this.namespace}-b`]) {
      spawnSync(this.#sides.runc ?? RUNC, [
        "--root",
        join(this.folder, "runc", this.namespace),
        "delete",
        "--force",
        id,
      ]);
    }
    // An original that had to be killed leaves it in the common directory.
    if (this.address !== "") rmSync(this.address.replace(/^unix:\/\//, ""), { force: true });
    for (const log of this.#logs.splice(0)) closeSync(log);
    for (const bundle of this.#bundles) bundle[Symbol.dispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function statOf(pid: string): [state: string, parent: string] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return [state!, parent!];
  } catch {
    return ["gone", "0"];
  }
}

export interface Spec {
  root: { readonly: boolean };
  process: { terminal: boolean; args: string[]; rlimits?: unknown[] };
  annotations?: Record<string, string>;
  linux: { namespaces: { type: string }[]; resources: Record<string, unknown> };
}

/** A client of an attach socket: frames in the order of arrival. */
export class Attached {
  readonly frames: { type: number; payload: Buffer }[] = [];
  ended = false;
  readonly socket: Socket;
  #input = Buffer.alloc(0);

  /** `before`: the same client's connection to a shim that was killed. */
  constructor(path: string, mask: number, before: Attached | null = null) {
    this.socket = connect(path);
    this.socket.on("data", (chunk) => {
      this.#input = Buffer.concat([this.#input, chunk as Buffer]);
      while (this.#input.length >= 8 && this.#input.length >= 8 + this.#input.readUInt32BE(4)) {
        const length = this.#input.readUInt32BE(4);
        this.frames.push({ type: this.#input[0]!, payload: Buffer.from(this.#input.subarray(8, 8 + length)) });
        this.#input = this.#input.subarray(8 + length);
      }
    });
    this.socket.on("close", () => {
      this.ended = true;
    });
    this.socket.on("error", () => {});
    this.send(8, Buffer.from([mask, ...(before === null ? [] : encodePlaces(before.#places()))]));
  }

  /** Up to where it has the output. */
  #places(): Places {
    const from = decodePlaces(this.frames[0]!.payload.subarray(1));
    return { stdout: from.stdout + this.text(1).length, stderr: from.stderr + this.text(2).length };
  }

  send(type: number, payload: Buffer): void {
    const header = Buffer.alloc(8);
    header[0] = type;
    header.writeUInt32BE(payload.length, 4);
    this.socket.write(Buffer.concat([header, payload]));
  }

  text(type: number): string {
    return Buffer.concat(this.frames.filter((frame) => frame.type === type).map((frame) => frame.payload)).toString();
  }
}
