// One task: its first process, the processes executed in it, and the order in which their events go out.
//
//     create ▶ /tasks/create   start ▶ /tasks/start   exec ▶ /tasks/exec-added   exec's start ▶ /tasks/exec-started
//     a process ends ▶ its output is drained ▶ /tasks/exit (the first process's after those of all others)
//     delete ▶ /tasks/delete

import { codeOf, Failure, messageOf } from "../../base/errors.ts";
import { wallNanoseconds } from "../../linux/clock.ts";
import { type Fd, readText, unlinkIfThere, writeFile } from "../../linux/fd.ts";
import { isRunning, openPidfdIfThere, startTime } from "../../linux/pidfd.ts";
import { processId } from "../../linux/process.ts";
import { freeze } from "./call/freeze.ts";
import { createLine, execLine, type Line, restoreLine } from "./call/lines.ts";
import { removeContainer, statusOf } from "./call/repeat.ts";
import { Runc } from "./call/runc.ts";
import { type Group, groupOfProcess } from "./cgroup/group.ts";
import { memoryKills, OomWatch } from "./cgroup/oom.ts";
import { CriuWork } from "./criu-work.ts";
import { Execs } from "./execs.ts";
import { killAll, killExec, pidsOf, sharesPids } from "./kill.ts";
import { EXIT_UNKNOWN } from "./limits.ts";
import { Lock } from "./lock.ts";
import { watchProcess } from "./pidwatch.ts";
import { endOf, Process, STATUS, type StdioNames } from "./process.ts";
import type { Ended } from "./reaper.ts";
import * as records from "./record.ts";
import { mountRootfs, unmountAll } from "./rootfs.ts";
import { announce } from "./serve/announce.ts";
import type { ContainerSettings } from "./settings.ts";
import type { Shim } from "./shim.ts";
import { requireState } from "./states.ts";
import { type IoRequest, ProcessIo } from "./stdio/io.ts";

export class Container {
  readonly id: string;
  readonly init: Process;
  readonly execs = new Execs();
  readonly #shim: Shim;
  readonly #settings: ContainerSettings;
  readonly #runc: Runc;
  readonly #lock = new Lock();
  readonly #specs = new Map<string, string>();
  #group: Group | null = null;
  #oom: OomWatch | null = null;
  #pausing = false;
  /** The first process has ended, though its exit may not be official yet: nothing is executed any more. */
  #initGone = false;
  #pidfd: Fd | null = null;

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
    const { rootfs, checkpoint } = this.#settings;
    await mountRootfs(rootfs, this.rootfs, this.#shim.reaper);
    if (checkpoint !== "") {
      // There is no process yet: what is restored runs at once, so that is the start's part.
      announce.create(this.#shim.events, this, { rootfs, checkpoint });
      return;
    }
    this.init.beginStart();
    try {
      const pidFile = `${this.bundle}/init.pid`;
      const line = createLine(this.#settings, pidFile);
      await this.#launch(this.init, { what: "OCI runtime create failed", line, pidFile });
      this.#made();
      announce.create(this.#shim.events, this, { rootfs, checkpoint });
    } catch (thrown) {
      unmountAll(this.rootfs);
      throw thrown;
    } finally {
      this.#released(this.init);
    }
  }

  start(execId: string): Promise<number> {
    const process = this.process(execId);
    if (process !== this.init) return this.#startExec(process);
    return this.#lock.run(async () => {
      requireState("start", process.status);
      process.beginStart();
      const kills = memoryKills(this.#group);
      try {
        if (process.pid === 0) await this.#restore();
        else await this.#runc.run("OCI runtime start failed", ["start", this.id]);
        process.status = "running";
        announce.start(this.#shim.events, this);
        this.#watchMemory(kills);
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
    if (process === this.init) return this.#lock.run(() => killAll(this.#runc, this.id, { signal, all }));
    killExec(process.pid, signal);
  }

  /** Forgets the process; gives what its exit was, null of one that never ran. */
  async delete(execId: string): Promise<{ pid: number; ended: Ended | null }> {
    const process = this.process(execId);
    process.requireStopped();
    if (process === this.init) {
      await this.#lock.run(() => this.#deleteInit());
      // One that never ran is ended by the runtime just now: its exit comes before the deletion is told.
      if (process.pid !== 0) await endOf(this.#shim.runtime.loop, process);
      this.#oom?.close();
      this.#pidfd?.close();
    } else if (process.starting) throw new Failure("failed_precondition", "the process is being started");
    await process.io?.finished();
    process.io?.close();
    if (process !== this.init) {
      this.execs.delete(execId);
      this.#specs.delete(execId);
      unlinkIfThere(`${this.bundle}/${execId}.pid`);
      records.removeExecPlace(this.bundle, execId);
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

  pids(): Promise<number[]> {
    return pidsOf(this.#runc, this.id);
  }

  async #restore(): Promise<void> {
    using work = new CriuWork(this.#settings.criuWork, this.bundle);
    const pidFile = `${this.bundle}/init.pid`;
    const line = restoreLine(this.#settings, work.path, pidFile);
    await this.#launch(this.init, { what: "OCI runtime restore failed", line, pidFile });
    this.#made();
  }

  /** Its first process is there. A daemon may hold on to the pidfd, too, so that the end is known whoever is killed. */
  #made(): void {
    this.#group = groupOfProcess(this.init.pid);
    this.#pidfd = openPidfdIfThere(this.init.pid);
    this.#keep(this.init);
  }

  #keep(process: Process): void {
    const { pid, startTime, stdio, ended } = process;
    const record = { pid, startTime, stdio, ended };
    const { runc, ioUid, ioGid, criuWork } = this.#settings;
    const { bundle, ...runtime } = runc;
    const { log, namespace } = this.#shim;
    const holder = { shim: processId(), pidfd: this.#pidfd?.number ?? -1 };
    const facts = { id: this.id, namespace, runtime, ioUid, ioGid, criuWork, group: this.group(), holder };
    if (process === this.init) records.keepTask(log, bundle, { ...record, ...facts });
    else records.keepExec(log, { bundle, execId: process.execId }, record);
  }

  /** Takes over from a shim that was killed: `known` is the end of the first process, if its pidfd came along. */
  async adopt(
    record: records.TaskRecord,
    execs: ReadonlyMap<string, records.ProcessRecord>,
    known: Ended | null,
  ): Promise<void> {
    this.#group = record.group;
    for (const [execId, exec] of execs) {
      const process = new Process(execId, exec.stdio);
      this.execs.set(execId, process);
      this.#adoptProcess(process, exec, null);
    }
    const alive = this.#adoptProcess(this.init, record, known);
    if (alive) this.#pidfd = openPidfdIfThere(record.pid);
    this.#keep(this.init);
    if (alive) await this.#adoptStatus();
  }

  /** As the runtime tells it, unless the process ends meanwhile. */
  async #adoptStatus(): Promise<void> {
    try {
      const status = await statusOf(this.#runc, this.id);
      if (this.init.ended !== null) return;
      if (status === "created" || status === "paused") this.init.status = status;
    } catch (thrown) {
      if (isRunning(this.init)) throw thrown;
    }
    if (this.init.status !== "created") this.#watchMemory(memoryKills(this.#group));
  }

  /** Whether it lives. */
  #adoptProcess(process: Process, record: records.ProcessRecord, known: Ended | null): boolean {
    const { pid, startTime: started } = record;
    process.pid = pid;
    process.startTime = started;
    process.status = "running";
    if (!record.stdio.terminal) process.opened(ProcessIo.reopen(this.#shim.ioParts, this.#ioRequest(process)));
    const pidfd = record.ended === null ? openPidfdIfThere(pid) : null;
    if (pidfd !== null && startTime(pid) === started) {
      watchProcess(
        this.#shim.runtime.loop,
        { pid, startTime: started, pidfd },
        (ended) => void this.#exited(process, ended),
      );
      return true;
    }
    pidfd?.close();
    void this.#exited(process, record.ended ?? known ?? { code: EXIT_UNKNOWN, at: wallNanoseconds() });
    return false;
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
      records.makeExecPlace(this.bundle, process.execId);
      const line = execLine(this.id, spec, pidFile);
      await this.#launch(process, { what: "OCI runtime exec failed", line, pidFile });
      this.#keep(process);
      process.status = "running";
      announce.execStarted(this.#shim.events, this, process);
    } catch (thrown) {
      // The daemon deletes it next; until then it is a process that ended with 255, as the original has it.
      if (process.pid === 0) process.setEnded({ code: 255, at: wallNanoseconds() });
      throw thrown;
    } finally {
      unlinkIfThere(spec);
      this.#released(process);
    }
    return process.pid;
  }

  /** Runs the runtime's command that makes a process, with its streams; the pid it wrote becomes ours to wait for. */
  async #launch(process: Process, how: { what: string; line: Line; pidFile: string }): Promise<void> {
    const { reaper } = this.#shim;
    const io = await ProcessIo.open(this.#shim.ioParts, this.#ioRequest(process)).catch((thrown) => {
      const code = codeOf(thrown) === "invalid_argument" ? "invalid_argument" : "unknown";
      throw new Failure(code, `failed to create init process I/O: ${messageOf(thrown)}`, { cause: thrown });
    });
    process.opened(io);
    using _early = reaper.holdEarlyExits();
    try {
      const console = io.consoleSocket === null ? [] : ["--console-socket", io.consoleSocket];
      await this.#runc.start(how.what, how.line(console), io.streams);
      await io.started();
      process.pid = Number(readText(how.pidFile, 64).trim());
      process.startTime = startTime(process.pid) ?? "";
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
      place: process === this.init ? `${this.bundle}/` : records.execPlace(this.bundle, process.execId),
    };
  }

  /** The start is told; now its exit may be. */
  #released(process: Process): void {
    const held = process.endStart();
    if (held !== null) void this.#exited(process, held);
    this.execs.changed();
  }

  /** Tells kills beyond those that are `seen`, and from now on each. */
  #watchMemory(seen: bigint): void {
    if (this.#group === null) return;
    const killed = () => announce.oom(this.#shim.events, this);
    this.#oom = new OomWatch(this.#shim.runtime.loop, this.#group, { seen, killed });
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
    this.#keep(process);
    announce.exit(this.#shim.events, this, process);
    this.execs.changed();
  }

  /** In a shared pid namespace the kernel does not end the rest with the first process: then they are killed here. */
  async #othersGone(): Promise<void> {
    if (sharesPids(this.bundle)) await killAll(this.#runc, this.id, { signal: 9, all: true }).catch(() => {});
    // What is frozen does not end.
    if (this.init.status === "paused") await this.#runc.run("", ["resume", this.id]).catch(() => {});
    await this.execs.gone(this.#shim.runtime.loop);
  }

  async #deleteInit(): Promise<void> {
    await removeContainer(this.#runc, this.id, { force: false });
    unmountAll(this.rootfs);
    records.removeTaskRecord(this.bundle);
  }

  #freeze(command: "pause" | "resume", to: "running" | "paused"): Promise<void> {
    return this.#lock.run(async () => {
      requireState(command, this.init.status);
      this.#pausing = command === "pause";
      try {
        await freeze(this.#runc, this.id, command);
      } finally {
        this.#pausing = false;
      }
      // It may have ended meanwhile.
      if (this.init.ended !== null) return;
      this.init.status = to;
      announce[to === "paused" ? "paused" : "resumed"](this.#shim.events, this);
    });
  }
}
