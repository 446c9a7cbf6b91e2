// The daemon assembled: directories, stores, tasks, services, sockets; and taken apart in the other order.
//
//     directories 0700 ─▶ database ─▶ stores + collector ─▶ tasks found again ─▶ sockets listen ─▶ serving
//
// Stopping it stops no container: shims go on and are found again.

import { randomUUID } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { dirname, join } from "node:path";
import { Containers as ContainersApi } from "../../api/containerd/gen/containers.ts";
import { Content as ContentApi } from "../../api/containerd/gen/content.ts";
import { Diff as DiffApi } from "../../api/containerd/gen/diff.ts";
import { Events as EventsApi } from "../../api/containerd/gen/events.ts";
import { Health as HealthApi } from "../../api/containerd/gen/health.ts";
import { Images as ImagesApi } from "../../api/containerd/gen/images.ts";
import { Introspection as IntrospectionApi } from "../../api/containerd/gen/introspection.ts";
import { Leases as LeasesApi } from "../../api/containerd/gen/leases.ts";
import { Namespaces as NamespacesApi } from "../../api/containerd/gen/namespaces.ts";
import { Snapshots as SnapshotsApi } from "../../api/containerd/gen/snapshots.ts";
import { Tasks as TasksApi } from "../../api/containerd/gen/tasks.ts";
import { Version as VersionApi } from "../../api/containerd/gen/version.ts";
import { Events as ShimEventsApi } from "../../api/task/gen/events.ts";
import { Failure } from "../../base/errors.ts";
import type { Logger } from "../../base/log.ts";
import type { Listener } from "../../base/runtime.ts";
import { nodeClock } from "../../runtime/node/runtime.ts";
import { listenUnix } from "../../runtime/node/socket.ts";
import { GrpcServer } from "../../wire/grpc/server.ts";
import { TtrpcServer } from "../../wire/ttrpc/server.ts";
import { Unpacker } from "./call/unpack.ts";
import type { Config } from "./config/config.ts";
import { diffService } from "./diffs.ts";
import { type AboutFacts, serveHealth, serveIntrospection, serveVersion } from "./serve/about.ts";
import { serveContent } from "./serve/content.ts";
import { serveDiff } from "./serve/diff.ts";
import { serveEvents, serveShimEvents } from "./serve/events.ts";
import { serveContainers, serveImages, serveLeases, serveNamespaces } from "./serve/records.ts";
import { serveSnapshots } from "./serve/snapshots.ts";
import { serveTasks } from "./serve/tasks.ts";
import { openStores, type Stores } from "./stores.ts";
import { Bundles } from "./tasks/bundle.ts";
import { FifoStock } from "./tasks/fifos.ts";
import { TaskManager } from "./tasks/manager.ts";
import { Runtimes } from "./tasks/runtime.ts";
import { taskService } from "./tasks/service.ts";

const SOCKET_MODE = 0o660;

export interface DaemonOptions {
  config: Config;
  log: Logger;
  version: string;
  revision: string;
  /** The containerd program itself. */
  binary: string;
  /** Where shims and containerd-unpack are looked for after PATH. */
  directories: readonly string[];
  unpackProgram: string;
}

export class Daemon implements AsyncDisposable {
  readonly stores: Stores;
  private readonly tasks: TaskManager;
  private readonly grpc = new GrpcServer();
  private readonly ttrpc = new TtrpcServer(nodeClock);
  private readonly options: DaemonOptions;
  private listening: { grpc: Server; ttrpc: Listener } | null = null;

  private constructor(options: DaemonOptions, stores: Stores, tasks: TaskManager) {
    this.options = options;
    this.stores = stores;
    this.tasks = tasks;
  }

  static async start(options: DaemonOptions): Promise<Daemon> {
    const { config, log } = options;
    refuseForeignRoot(config.root);
    const mountpoints = join(config.root, "tmpmounts");
    ownDirectory(config.root, 0o700);
    // Members of the socket's group must reach it; what lies beside it has modes of its own.
    ownDirectory(config.state, 0o711);
    ownDirectory(mountpoints, 0o700);
    for (const name of ["lower", "upper"]) mkdirSync(join(mountpoints, name), { recursive: true, mode: 0o700 });
    await refuseLivingSocket(config.address);
    const unpacker = new Unpacker(options.unpackProgram, mountpoints);
    const stores = openStores({ root: config.root, unpacker, log });
    const tasks = new TaskManager({
      bundles: new Bundles(config.root, config.state),
      runtimes: new Runtimes(options.directories),
      fifos: new FifoStock(join(config.state, "fifos"), (paths) => unpacker.fifos(paths)),
      exchange: stores.exchange,
      unpacker,
      daemon: {
        address: config.address,
        ttrpcAddress: config.ttrpcAddress,
        binary: options.binary,
        version: options.version,
        debug: log.level === "debug" || log.level === "trace",
      },
      log,
    });
    const daemon = new Daemon(options, stores, tasks);
    await daemon.serve(unpacker);
    return daemon;
  }

  /** Containers go on. */
  async stop(): Promise<void> {
    this.listening?.grpc.close();
    this.listening?.ttrpc.close();
    this.grpc.close();
    this.ttrpc.close();
    this.tasks.close();
    await this.stores.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  private async serve(unpacker: Unpacker): Promise<void> {
    const { config, log } = this.options;
    this.register(unpacker);
    mkdirSync(dirname(config.address), { recursive: true, mode: 0o711 });
    const ttrpc = await listenUnix(config.ttrpcAddress, { mode: SOCKET_MODE });
    void this.ttrpc.serve(ttrpc);
    // Shims of an earlier life first: whoever connects sees the truth, not a daemon that has not looked yet.
    await this.tasks.restore();
    const grpc = createServer({ noDelay: true });
    this.grpc.attach(grpc);
    await listen(grpc, config);
    this.listening = { grpc, ttrpc };
    void this.tasks.warmUp();
    log.info("serving...", { address: config.ttrpcAddress });
    log.info("serving...", { address: config.address });
  }

  private register(unpacker: Unpacker): void {
    const { stores, grpc, tasks } = this;
    const facts = this.facts();
    grpc.register(ContainersApi, serveContainers(stores.containers));
    grpc.register(ContentApi, serveContent(stores.blobs));
    grpc.register(ImagesApi, serveImages(stores.images));
    grpc.register(LeasesApi, serveLeases(stores.leases));
    grpc.register(NamespacesApi, serveNamespaces(stores.namespaces));
    grpc.register(SnapshotsApi, serveSnapshots(stores.snapshots));
    grpc.register(EventsApi, serveEvents(stores.exchange));
    grpc.register(
      TasksApi,
      serveTasks((namespace) => taskService(tasks, stores.containers, namespace)),
    );
    grpc.register(VersionApi, serveVersion(facts));
    grpc.register(IntrospectionApi, serveIntrospection(facts, tasks.runtimes));
    grpc.register(HealthApi, serveHealth());
    const synced = (path: string) => stores.synced.add(path);
    const diffs = serveDiff((scope) => diffService({ content: stores.blobs.scoped(scope), unpacker, synced }));
    grpc.register(DiffApi, diffs);
    this.ttrpc.register(ShimEventsApi, serveShimEvents(stores.exchange));
  }

  private facts(): AboutFacts {
    const { version, revision, config } = this.options;
    const directory = join(config.root, "io.containerd.grpc.v1.introspection");
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const file = join(directory, "uuid");
    if (!existsSync(file)) writeFileSync(file, randomUUID());
    const { database } = this.stores;
    const commits = () => ({ all: database.commits, synced: database.syncedCommits });
    return { version, revision, uuid: readFileSync(file, "utf8").trim(), root: config.root, commits };
  }
}

/** Another engine's metadata: its owner would not see what we do to the directories beside it. */
function refuseForeignRoot(root: string): void {
  const bolt = join(root, "io.containerd.metadata.v1.bolt", "meta.db");
  if (!existsSync(bolt)) return;
  throw new Failure(
    "failed_precondition",
    `${root} belongs to another containerd (it has ${bolt}): choose another directory with --root`,
  );
}

function ownDirectory(path: string, mode: number): void {
  mkdirSync(path, { recursive: true, mode });
  chmodSync(path, mode);
}

async function refuseLivingSocket(path: string): Promise<void> {
  const facts = lstatSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return;
  if (!facts.isSocket()) throw new Failure("already_exists", `${path} exists and is no socket`);
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
  if (alive) throw new Failure("already_exists", `another containerd serves ${path}`);
  unlinkSync(path);
}

function listen(server: Server, config: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    const before = process.umask(0o177);
    server.once("error", reject);
    server.listen(config.address, () => {
      chownSync(config.address, config.uid, config.gid);
      chmodSync(config.address, SOCKET_MODE);
      resolve();
    });
    process.umask(before);
  });
}
