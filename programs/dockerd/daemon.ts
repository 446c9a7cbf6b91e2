// The daemon: puts its parts together in the order in which they need each other, serves, and takes them down again.
//
//   data root ─▶ records ─▶ containerd link (events, tasks) ─▶ containers found again ─▶ API served ─▶ policies resume

import { existsSync } from "node:fs";
import { join } from "node:path";
import { TaskExit, TaskOOM } from "../../api/containerd/gen/task_events.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import type { Listener } from "../../base/runtime.ts";
import type { Envelope } from "../../core/events/events.ts";
import { Database } from "../../core/metadata/database.ts";
import { nodeClock } from "../../runtime/node/runtime.ts";
import type { Containerd } from "./call/containerd/containerd.ts";
import { ContainerdLink } from "./call/containerd/link.ts";
import { OwnContainerd, USUAL_SOCKET } from "./call/containerd/supervise.ts";
import { timeOf } from "./call/containerd/values.ts";
import { NetClient } from "./call/net/client.ts";
import type { Settings } from "./config/settings.ts";
import { emitContainer } from "./containers/emit.ts";
import { ExecTable, handleExecExit } from "./containers/exec.ts";
import { handleExit } from "./containers/exit.ts";
import { ContainerIndex } from "./containers/index.ts";
import { containerTable, nowText } from "./containers/record.ts";
import { afterStart, loadContainers, reconcile } from "./containers/restore.ts";
import { bringDown } from "./containers/stop.ts";
import { changeState, type Engine, type Log } from "./engine.ts";
import { claimDataRoot, prepareDataRoot, prepareExecRoot } from "./home.ts";
import { Images } from "./images/images.ts";
import { Networks } from "./networks/networks.ts";
import { FifoPool } from "./output/fifos.ts";
import { buildRouter } from "./serve/engine/routes.ts";
import { EngineServer } from "./serve/engine/server.ts";
import { Events } from "./system/events.ts";
import { readHostFacts } from "./system/host.ts";
import { Volumes, volumeTable } from "./volumes/volumes.ts";

const SNAPSHOTTER = "overlayfs";
/** Work at once that nobody waits for; beyond it something is wrong. */
const MAX_BACKGROUND = 10_000;

export class Daemon implements Engine {
  readonly settings: Settings;
  readonly log: Log;
  readonly clock = nodeClock;
  readonly host = readHostFacts();
  readonly containers = new ContainerIndex();
  readonly execs = new ExecTable();
  readonly events = new Events();
  readonly database: Database;
  readonly records;
  readonly images: Images;
  readonly volumes: Volumes;
  readonly networks: Networks;
  readonly fifos: FifoPool;
  readonly startedAt = nowText();
  stopping = false;
  readonly #link: ContainerdLink;
  readonly #own: OwnContainerd | null;
  readonly #net: NetClient | null;
  readonly #claim: Disposable;
  readonly #background = new Set<Promise<unknown>>();
  #server: EngineServer | null = null;

  constructor(settings: Settings, log: Log) {
    this.settings = settings;
    this.log = log;
    prepareDataRoot(settings.dataRoot);
    prepareExecRoot(settings.execRoot);
    this.#claim = claimDataRoot(settings.dataRoot);
    this.database = Database.open({
      path: join(settings.dataRoot, "engine", "records.sqlite"),
      tables: [containerTable, volumeTable] as never,
      warn: (message) => log.warn(message),
    });
    this.records = this.database.table(containerTable);
    this.#own = this.#chooseContainerd();
    this.#link = this.#makeLink();
    this.images = new Images(() => this.containerd);
    this.volumes = new Volumes({
      directory: join(settings.dataRoot, "volumes"),
      database: this.database,
      events: this.events,
      users: (name) => this.#usersOf(name),
    });
    this.#net = settings.bridge === "none" ? null : this.#makeNet();
    this.networks = this.#makeNetworks();
    this.fifos = new FifoPool(join(settings.execRoot, "fifos"));
  }

  get bundles(): string | null {
    return this.#own?.bundles(this.settings.namespace) ?? null;
  }

  get containerd(): Containerd {
    return this.#link.current;
  }

  async start(): Promise<void> {
    this.fifos.prepare();
    loadContainers(this);
    await this.#link.start();
    const waiting = this.clock.monotonic();
    while (!this.#ready) {
      if (this.clock.monotonic() - waiting > READY_TIMEOUT_MS)
        throw new Failure("unavailable", "containerd does not answer");
      await this.clock.sleep(2);
    }
    await afterStart(this);
    // docker-net may have died with the last dockerd; published ports of containers that live need it.
    const alive = this.containers.all().some((container) => container.running);
    if (alive && this.#net !== null) this.background("docker-net", this.#net.helper());
  }

  serve(listeners: readonly Listener[]): void {
    this.#server = new EngineServer({
      router: buildRouter(this, this),
      clock: this.clock,
      minVersion: this.settings.minApiVersion,
      experimental: this.settings.experimental,
      report: (message) => this.log.error(message),
    });
    for (const listener of listeners) void this.#server.serve(listener);
  }

  /** Containers go on under live-restore; else they are stopped, and our containerd and docker-net with them. */
  async stop(listeners: readonly Listener[]): Promise<void> {
    this.stopping = true;
    for (const listener of listeners) listener.close();
    if (!this.settings.liveRestore) await this.#stopContainers();
    await this.#settle();
    this.#server?.closeAll();
    await this.#link.close();
    if (!this.settings.liveRestore) {
      await this.#net?.shutdown().catch((thrown) => this.log.warn(`docker-net: ${messageOf(thrown)}`));
      await this.#own?.stop();
    }
    this.#net?.close();
    await this.database.close();
    this.#claim[Symbol.dispose]();
  }

  background(what: string, work: Promise<unknown>): void {
    if (this.#background.size > MAX_BACKGROUND) this.log.warn(`${this.#background.size} background tasks`);
    const done = work.then(
      () => {},
      (thrown) => this.log.error(`${what}: ${messageOf(thrown)}`),
    );
    this.#background.add(done);
    void done.then(() => this.#background.delete(done));
  }

  #ready = false;
  reconciled: Promise<unknown> = Promise.resolve();

  async #settle(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  async #stopContainers(): Promise<void> {
    const running = this.containers.all().filter((container) => container.running);
    await Promise.all(
      running.map(async (container) => {
        const { manuallyStopped } = container.record.state;
        await bringDown(this, container, { signal: null, timeout: null }).catch((thrown) =>
          this.log.error(`stopping ${container.id}: ${messageOf(thrown)}`),
        );
        // The daemon's end is no person's stop: policies start it again next time.
        changeState(container, { manuallyStopped });
      }),
    );
  }

  #chooseContainerd(): OwnContainerd | null {
    const { containerd } = this.settings;
    if (containerd !== "" || existsSync(USUAL_SOCKET)) return null;
    return new OwnContainerd(this.settings, this.log);
  }

  #makeLink(): ContainerdLink {
    return new ContainerdLink({
      socket: this.settings.containerd || (this.#own?.socket ?? USUAL_SOCKET),
      namespace: this.settings.namespace,
      snapshotter: SNAPSHOTTER,
      own: this.#own,
      log: this.log,
      connected: async () => {
        this.images.unpacked.clear();
        this.reconciled = reconcile(this);
        await this.reconciled;
        this.#ready = true;
      },
      event: (envelope) => this.#hear(envelope),
    });
  }

  #hear(envelope: Envelope): void {
    if (envelope.event === null) return;
    if (envelope.topic === "/tasks/exit") {
      const exit = TaskExit.decode(envelope.event.value);
      const container = this.containers.get(exit.containerId);
      if (container === null) return;
      const exec = exit.id === exit.containerId ? null : this.execs.get(exit.id);
      const exitedAt = timeOf(exit.exitedAt) || new Date().toISOString();
      if (exec !== null) this.background(`end of exec ${exit.id}`, handleExecExit(this, exec, exit.exitStatus));
      else if (exit.id === exit.containerId) {
        const facts = { pid: exit.pid, exitCode: exit.exitStatus, exitedAt };
        this.background(`end of ${exit.containerId}`, handleExit(this, container, facts));
      }
    } else if (envelope.topic === "/tasks/oom") {
      const container = this.containers.get(TaskOOM.decode(envelope.event.value).containerId);
      if (container === null) return;
      changeState(container, { oomKilled: true });
      emitContainer(this, container, "oom");
    } else if (envelope.topic === "/images/delete") this.images.unpacked.clear();
  }

  #usersOf(volume: string): string[] {
    return this.containers
      .all()
      .filter((container) => container.record.mounts.some((point) => point.Type === "volume" && point.Name === volume))
      .map((container) => container.id);
  }

  #makeNet(): NetClient {
    const { execRoot } = this.settings;
    return new NetClient({ execRoot, log: this.log, fresh: () => this.networks.reset() });
  }

  #makeNetworks(): Networks {
    const net = this.#net;
    return new Networks({
      helper: net === null ? null : () => net.helper(),
      bridgeName: this.settings.bridge || "docker0",
      bip: this.settings.bip,
      created: new Date(this.database.createdAt).toISOString(),
    });
  }
}

/** Milliseconds for the first look at containerd's tasks. */
const READY_TIMEOUT_MS = 60_000;
