// One task: its first process, the processes executed in it, and the order in which their events go out.
//
//     create ▶ /tasks/create   start ▶ /tasks/start   exec ▶ /tasks/exec-added   exec's start ▶ /tasks/exec-started
//     a process ends ▶ its output is drained ▶ /tasks/exit (the first process's after those of all others)
//     delete ▶ /tasks/delete

import type { Mount } from "../../api/containerd/gen/types.ts";
import { codeOf, Failure, messageOf } from "../../base/errors.ts";
import { readText, unlinkIfThere, writeFile } from "../../linux/fd.ts";
import { Cancel } from "../../wire/call.ts";
import { Runc, type RuncSettings } from "./call/runc.ts";
import { type Group, groupOfProcess } from "./cgroup/group.ts";
import { OomWatch } from "./cgroup/oom.ts";
import { CriuWork } from "./criu-work.ts";
import { killExec, killFailure, sharesPids } from "./kill.ts";
import { DRAIN_TIMEOUT, KILL_ALL_TIMEOUT } from "./limits.ts";
import { Lock } from "./lock.ts";
import { Process, STATUS, type StdioNames } from "./process.ts";
import type { Ended } from "./reaper.ts";
import { mountRootfs, unmountAll } from "./rootfs.ts";
import { announce } from "./serve/announce.ts";
import type { Shim } from "./shim.ts";
import { requireState } from "./states.ts";
import { type IoRequest, ProcessIo } from "./stdio/io.ts";

export interface ContainerSettings {
  id: string;
  runc: RuncSettings;
  rootfs: Mount[];
  /** The images to restore at the start; "" for a new container. */
  checkpoint: string;
  /** Where criu works; "" is a place in the bundle that goes away. */
  criuWork: string;
  /** The runtime's extra arguments of `create`: --no-pivot, --no-new-keyring. */
  createFlags: readonly string[];
  ioUid: number;
  ioGid: number;
}

export class Container {
  readonly id: string;
  readonly init: Process;
  readonly execs = new Map<string, Process>();
  readonly #shim: Shim;
  readonly #settings: ContainerSettings;
  readonly #runc: Runc;
  readonly #lock = new Lock();
  readonly #specs = new Map<string, string>();
  #execsGone: (() => void)[] = [];
  #group: Group | null = null;
  #oom: OomWatch | null = null;
  #pausing = false;
  /** The first process has ended, though its exit may not be official yet: nothing is executed any more. */
  #initGone = false;

  constructor(shim: Shim, settings: ContainerSettings, stdio: StdioNames) {
    this.id = settings.id;
    this.#shim = shim;
    this.#settings = settings;
    this.#runc = new Runc(shim.runtime.loop, shim.reaper, settings.runc);
    this.init = new Process("", stdio);
  }

  get bundle(): string {
    return this.#settings.runc.bundle;
  }

  get rootfs(): string {
    return `${this.bundle}/rootfs`;
  }

  /** The process of that exec id; "" is the first one. */
  process(execId: string): Process {
    const found = execId === "" ? this.init : this.execs.get(execId);
    if (found === undefined) throw new Failure("not_found", `process does not exist ${execId}`);
    return found;
  }

  /** containerd.v1.types.Status of a process: all of a container are paused together. */
  statusOf(process: Process): number {
    if (this.#pausing) return STATUS.pausing;
    return STATUS[this.init.status === "paused" ? "paused" : process.status];
  }

  /** Its control group, as found when it was made. */
  group(): Group {
    if (this.#group === null) throw new Failure("not_found", "the process has not been created");
    return this.#group;
  }

  /** Makes the container; on failure nothing of it is left. */
  async create(): Promise<void> {
    const { rootfs, createFlags, checkpoint } = this.#settings;
    await this.#mount();
    if (checkpoint !== "") {
      // There is no process yet: what is restored runs at once, so that is the start's part.
      announce.create(this.#shim.events, this, { rootfs, checkpoint });
      return;
    }
    this.init.beginStart();
    try {
      const pidFile = `${this.bundle}/init.pid`;
      const args = (console: string[]) => [
        ...["create", "--bundle", this.bundle],
        ...[...createFlags, "--pid-file", pidFile, ...console, this.id],
      ];
      await this.#launch(this.init, { what: "OCI runtime create failed", args, pidFile });
      announce.create(this.#shim.events, this, { rootfs, checkpoint });
      this.#group = groupOfProcess(this.init.pid);
    } catch (thrown) {
      unmountAll(this.rootfs);
      throw thrown;
    } finally {
      this.#released(this.init);
    }
  }

  async #mount(): Promise<void> {
    try {
      await mountRootfs(this.#settings.rootfs, this.rootfs, this.#shim.reaper);
    } catch (thrown) {
      throw new Failure("unknown", `failed to mount rootfs component: ${messageOf(thrown)}`, { cause: thrown });
    }
  }

  start(execId: string): Promise<number> {
    const process = this.process(execId);
    if (process !== this.init) return this.#startExec(process);
    return this.#lock.run(async () => {
      requireState("start", process.status);
      process.beginStart();
      try {
        if (process.pid === 0) await this.#restore();
        else await this.#runc.run("OCI runtime start failed", ["start", this.id]);
        process.status = "running";
        announce.start(this.#shim.events, this);
        this.#watchMemory();
      } finally {
        this.#released(process);
      }
      return process.pid;
    });
  }

  addExec(execId: string, stdio: StdioNames, spec: string): void {
    if (this.execs.has(execId)) throw new Failure("already_exists", `id ${execId}`);
    requireState("exec", this.init.status);
    if (this.init.pid === 0) throw new Failure("unknown", "cannot exec in a created state");
    this.execs.set(execId, new Process(execId, stdio));
    this.#specs.set(execId, spec);
    announce.execAdded(this.#shim.events, this, execId);
  }

  async kill(execId: string, signal: number, all: boolean): Promise<void> {
    const process = this.process(execId);
    if (process.ended !== null) throw new Failure("not_found", "process already finished");
    if (process === this.init) return this.#lock.run(() => this.#killAll(signal, all));
    killExec(process.pid, signal);
  }

  /** Forgets the process; gives what its exit was, null of one that never ran. */
  async delete(execId: string): Promise<{ pid: number; ended: Ended | null }> {
    const process = this.process(execId);
    process.requireStopped();
    if (process === this.init) {
      await this.#lock.run(() => this.#deleteInit());
      // One that never ran is ended by the runtime just now: its exit comes before the deletion is told.
      if (process.pid !== 0) await this.#endOf(process);
      this.#oom?.close();
    } else if (process.starting) throw new Failure("failed_precondition", "the process is being started");
    await process.io?.finished();
    process.io?.close();
    if (process !== this.init) {
      this.execs.delete(execId);
      this.#specs.delete(execId);
      unlinkIfThere(`${this.bundle}/${execId}.pid`);
    }
    return { pid: process.pid, ended: process.ended };
  }

  pause(): Promise<void> {
    return this.#freeze("pause", "paused");
  }

  resume(): Promise<void> {
    return this.#freeze("resume", "running");
  }

  update(resources: string): Promise<void> {
    return this.#lock.run(async () => {
      requireState("update", this.init.status);
      await this.#runc.run("OCI runtime update failed", ["update", "--resources", "-", this.id], resources);
    });
  }

  checkpoint(args: readonly string[], workPath: string): Promise<void> {
    return this.#lock.run(async () => {
      requireState("checkpoint", this.init.status);
      using work = new CriuWork(workPath === "" ? this.#settings.criuWork : workPath, this.bundle);
      try {
        await this.#runc.run("", ["checkpoint", ...args, "--work-path", work.path, this.id]);
      } catch (thrown) {
        throw work.failure(thrown);
      }
    });
  }

  /** All pids of the container, by the runtime's own account. "None" is no answer: a daemon of containerd 2.x that
   *  finds a shim again takes it for one whose task was never made, and throws its exit status away. */
  async pids(): Promise<number[]> {
    const text = await this.#runc.run("OCI runtime ps failed", ["ps", "--format", "json", this.id]);
    // The original runtime says null.
    const pids = (JSON.parse(text) as number[] | null) ?? [];
    if (pids.length === 0) throw new Failure("failed_precondition", `the processes of ${this.id} have ended`);
    return pids;
  }

  async #restore(): Promise<void> {
    const { createFlags, checkpoint, criuWork } = this.#settings;
    using work = new CriuWork(criuWork, this.bundle);
    const pidFile = `${this.bundle}/init.pid`;
    const flags = createFlags.filter((flag) => flag !== "--no-new-keyring");
    const args = (console: string[]) => [
      ...["restore", "--bundle", this.bundle, "--image-path", checkpoint, "--work-path", work.path],
      ...["--detach", "--no-subreaper", ...flags, "--pid-file", pidFile, ...console, this.id],
    ];
    await this.#launch(this.init, { what: "OCI runtime restore failed", args, pidFile });
    this.#group = groupOfProcess(this.init.pid);
  }

  async #startExec(process: Process): Promise<number> {
    if (this.#initGone) {
      throw new Failure("failed_precondition", `container ${this.id} init process is not running`);
    }
    requireState("start", process.starting ? "running" : process.status);
    const spec = `${this.bundle}/${process.execId}-process.json`;
    const pidFile = `${this.bundle}/${process.execId}.pid`;
    process.beginStart();
    try {
      writeFile(spec, this.#specs.get(process.execId)!, 0o600);
      const args = (console: string[]) => [
        ...["exec", "--process", spec],
        ...[...console, "--detach", "--pid-file", pidFile, this.id],
      ];
      await this.#launch(process, { what: "OCI runtime exec failed", args, pidFile });
      process.status = "running";
      announce.execStarted(this.#shim.events, this, process);
    } catch (thrown) {
      // The daemon deletes it next; until then it is a process that ended with 255, as the original has it.
      if (process.pid === 0) process.setEnded({ code: 255, at: this.#shim.runtime.clock.nowNanoseconds() });
      throw thrown;
    } finally {
      unlinkIfThere(spec);
      this.#released(process);
    }
    return process.pid;
  }

  /** Runs the runtime's command that makes a process, with its streams; the pid it wrote becomes ours to wait for. */
  async #launch(
    process: Process,
    how: { what: string; args: (console: string[]) => string[]; pidFile: string },
  ): Promise<void> {
    const { reaper } = this.#shim;
    const io = await ProcessIo.open(this.#shim.ioParts, this.#ioRequest(process)).catch((thrown) => {
      const code = codeOf(thrown) === "invalid_argument" ? "invalid_argument" : "unknown";
      throw new Failure(code, `failed to create init process I/O: ${messageOf(thrown)}`, { cause: thrown });
    });
    process.opened(io);
    using _early = reaper.holdEarlyExits();
    try {
      const console = io.consoleSocket === null ? [] : ["--console-socket", io.consoleSocket];
      await this.#runc.start(how.what, how.args(console), io.streams);
      await io.started();
      process.pid = Number(readText(how.pidFile, 64).trim());
    } catch (thrown) {
      process.io = null;
      io.close();
      throw thrown;
    }
    reaper.expect(process.pid, (ended) => void this.#exited(process, ended));
  }

  #ioRequest(process: Process): IoRequest {
    const { ioUid, ioGid } = this.#settings;
    return {
      ...process.stdio,
      containerId: this.id,
      namespace: this.#shim.namespace,
      uid: ioUid,
      gid: ioGid,
      ownsLog: process === this.init,
    };
  }

  /** The start is told; now its exit may be. */
  #released(process: Process): void {
    const held = process.endStart();
    if (held !== null) void this.#exited(process, held);
    this.#execEnded();
  }

  #watchMemory(): void {
    if (this.#group === null) return;
    const killed = () => announce.oom(this.#shim.events, this);
    this.#oom = new OomWatch(this.#shim.runtime.loop, this.#group, killed);
  }

  async #exited(process: Process, ended: Ended): Promise<void> {
    if (process.holdExit(ended)) return;
    if (process === this.init) this.#initGone = true;
    try {
      this.#oom?.check();
      if (process === this.init) await this.#othersGone();
      await process.io?.drain();
    } catch (thrown) {
      // The exit is told whatever became of the output.
      this.#shim.log.say("error", `${this.id}: the end of ${process.pid}: ${messageOf(thrown)}`);
    }
    process.setEnded(ended);
    announce.exit(this.#shim.events, this, process);
    this.#execEnded();
  }

  /** In a shared pid namespace the kernel does not end the rest with the first process: then they are killed here. */
  async #othersGone(): Promise<void> {
    const alive = () => [...this.execs.values()].some((exec) => exec.alive);
    if (sharesPids(this.bundle)) await this.#killAll(9, true).catch(() => {});
    // What is frozen does not end.
    if (this.init.status === "paused") await this.#runc.run("", ["resume", this.id]).catch(() => {});
    if (!alive()) return;
    await new Promise<void>((resolve) => {
      const timeout = this.#shim.runtime.loop.timer(KILL_ALL_TIMEOUT, resolve);
      const look = () => {
        if (alive()) return void this.#execsGone.push(look);
        timeout[Symbol.dispose]();
        resolve();
      };
      look();
    });
  }

  #execEnded(): void {
    for (const look of this.#execsGone.splice(0)) look();
  }

  async #killAll(signal: number, all: boolean): Promise<void> {
    try {
      await this.#runc.run("", ["kill", ...(all ? ["--all"] : []), this.id, String(signal)]);
    } catch (thrown) {
      throw killFailure(thrown);
    }
  }

  #endOf(process: Process): Promise<void> {
    return new Promise((resolve) => {
      const timeout = this.#shim.runtime.loop.timer(DRAIN_TIMEOUT, resolve);
      void process.wait(new Cancel()).then(() => {
        timeout[Symbol.dispose]();
        resolve();
      });
    });
  }

  async #deleteInit(): Promise<void> {
    try {
      await this.#runc.run("failed to delete task", ["delete", this.id]);
    } catch (thrown) {
      // A runtime may have removed it already, after a checkpoint for one.
      if (!messageOf(thrown).includes("does not exist")) throw thrown;
    }
    unmountAll(this.rootfs);
  }

  #freeze(command: "pause" | "resume", to: "running" | "paused"): Promise<void> {
    return this.#lock.run(async () => {
      requireState(command, this.init.status);
      this.#pausing = command === "pause";
      try {
        await this.#runc.run(`OCI runtime ${command} failed`, [command, this.id]);
      } finally {
        this.#pausing = false;
      }
      // It may have ended meanwhile.
      if (this.init.ended === null) this.init.status = to;
      announce[to === "paused" ? "paused" : "resumed"](this.#shim.events, this);
    });
  }
}
