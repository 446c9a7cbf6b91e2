// A pod of one shim: a sandbox's bundle and its containers' side by side, as a daemon has them. Nothing of it is left
// when it is closed, however often its shim was killed.

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox } from "../../api/task/gen/sandbox.ts";
import type { ClientOf } from "../../wire/call.ts";
import type { ShimLab } from "./shim-lab.ts";

const KINDS = ["ipc", "uts", "pid", "net", "mnt", "user"];

export function namespacesOf(pid: number | "self"): string[] {
  return KINDS.map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`));
}

export interface PodSpec {
  hostname?: string;
  linux?: { namespaces: { type: string; path?: string }[] };
}

export class Pod implements AsyncDisposable {
  readonly #lab: ShimLab;
  readonly id: string;
  readonly bundle: string;

  /** A bundle without a root filesystem, and with a specification only if one is given. */
  constructor(lab: ShimLab, spec: PodSpec | null) {
    this.#lab = lab;
    this.id = `${lab.namespace}-pod`;
    this.bundle = join(lab.folder, "bundles", this.id);
    mkdirSync(this.bundle, { recursive: true });
    if (spec !== null) writeFileSync(join(this.bundle, "config.json"), JSON.stringify(spec));
  }

  /** The service of the shim that serves now. */
  get service(): ClientOf<typeof Sandbox> {
    return this.#lab.service(Sandbox);
  }

  get record(): string {
    return join(this.bundle, "sandbox.json");
  }

  create(netnsPath = "") {
    return this.service.createSandbox({ sandboxId: this.id, bundlePath: this.bundle, netnsPath });
  }

  start() {
    return this.service.startSandbox({ sandboxId: this.id });
  }

  status() {
    return this.service.sandboxStatus({ sandboxId: this.id });
  }

  stop() {
    return this.service.stopSandbox({ sandboxId: this.id });
  }

  wait() {
    return this.service.waitSandbox({ sandboxId: this.id });
  }

  shutdown() {
    return this.service.shutdownSandbox({ sandboxId: this.id });
  }

  /** Moves the lab's container beside the sandbox, joined to the ipc and uts namespaces of `pid`; its task runs. */
  async runContainer(pid: number): Promise<void> {
    const bundle = join(this.bundle, "..", this.#lab.id);
    cpSync(this.#lab.path, bundle, { recursive: true, verbatimSymlinks: true });
    this.#lab.path = bundle;
    const config = join(bundle, "config.json");
    const spec = JSON.parse(readFileSync(config, "utf8")) as PodSpec;
    for (const one of spec.linux!.namespaces) {
      if (one.type === "ipc" || one.type === "uts") one.path = `/proc/${pid}/ns/${one.type}`;
    }
    delete spec.hostname;
    writeFileSync(config, JSON.stringify(spec));
    await this.#lab.create();
    await this.#lab.task.start({ id: this.#lab.id });
  }

  /** Another shim takes over, asked by the sandbox's bundle. */
  adopt(): Promise<void> {
    return this.#lab.adopt({ id: this.id, bundle: this.bundle });
  }

  ask(action: "adopt" | "delete") {
    return this.#lab.startCommand(this.id, this.bundle, { action });
  }

  /** The processes that hold namespaces for it. */
  holders(): number[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && titleOf(name) === `sandbox ${this.id}`)
      .map(Number);
  }

  /** Changes what a killed shim wrote down. */
  rewrite(change: (record: Record<string, unknown>) => void): void {
    const record = JSON.parse(readFileSync(this.record, "utf8")) as Record<string, unknown>;
    change(record);
    writeFileSync(this.record, JSON.stringify(record));
  }

  /** Neither process, nor record, nor socket. */
  async assertGone(): Promise<void> {
    await this.#lab.eventually("the holder's end", () => this.holders().length === 0);
    assert.deepEqual(
      readdirSync(this.bundle).filter((name) => name.startsWith("sandbox.json")),
      [],
    );
    await this.#lab.eventually("the shim's end", () => !this.#lab.alive());
    assert.equal(existsSync(this.#lab.address.replace(/^unix:\/\//, "")), false);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ask("delete");
    // What a test damaged beyond reading.
    for (const pid of this.holders()) process.kill(pid, "SIGKILL");
    await this.#lab.eventually("the holder's end", () => this.holders().length === 0);
  }
}

function titleOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replace(/\0.*$/s, "");
  } catch {
    return "";
  }
}
