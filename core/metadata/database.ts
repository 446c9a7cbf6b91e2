// The daemons' records: SQLite on disk, all of it mirrored in memory. containerd and dockerd each open one.
//
// Reads are plain Map look-ups on the main thread. A change is applied to the mirror at once and then handed to a
// worker thread, which puts whatever has gathered into one transaction: node:sqlite is synchronous, and an fsync must
// not stop the event loop. `change` resolves when the records are on disk as firmly as was asked, so a reply to a
// client waits for it; a change that cannot be written is taken back from the mirror.
//
//     change(…) ──▶ mirror ──▶ [queue] ──▶ worker: BEGIN … COMMIT ──▶ resolved
//                     ▲                              │
//                     └────── taken back ◀── failed ─┘
//
// Durability: "acknowledged" is an fsynced commit (what would be missed after a power cut: create, commit, tag, rm);
// "running" is written, survives the death of this process, and becomes firm with the next acknowledged commit.

import { Worker } from "node:worker_threads";
import { Failure, messageOf } from "../../base/errors.ts";
import { type LoadedTables, loadDatabase } from "./load.ts";
import { Writer, type WriterReply, type WriterRequest } from "./writer.ts";

export type Durability = "acknowledged" | "running";

/** How a record becomes the text of its row. Plain objects need none. */
export interface RecordCodec<T> {
  encode(record: T): string;
  decode(text: string): T;
}

export interface TableDefinition<T> {
  readonly name: string;
  readonly codec: RecordCodec<T>;
}

export function defineTable<T>(name: string, codec: RecordCodec<T> | null = null): TableDefinition<T> {
  return {
    name,
    codec: codec ?? { encode: (record) => JSON.stringify(record), decode: (text) => JSON.parse(text) as T },
  };
}

type RowChange = [table: string, namespace: string, key: string, text: string | null];

/** One table's mirror: namespace to key to record. Records are values: never changed in place. */
export class Table<T> {
  readonly definition: TableDefinition<T>;
  private readonly rows = new Map<string, Map<string, T>>();

  constructor(definition: TableDefinition<T>) {
    this.definition = definition;
  }

  get(namespace: string, key: string): T | null {
    return this.rows.get(namespace)?.get(key) ?? null;
  }

  /** In order of insertion within this process, of keys after a restart. */
  list(namespace: string): T[] {
    return [...(this.rows.get(namespace)?.values() ?? [])];
  }

  keys(namespace: string): string[] {
    return [...(this.rows.get(namespace)?.keys() ?? [])];
  }

  entries(namespace: string): [key: string, record: T][] {
    return [...(this.rows.get(namespace)?.entries() ?? [])];
  }

  /** Namespaces that have at least one row here. */
  namespaces(): string[] {
    return [...this.rows.keys()];
  }

  /** For Database alone. */
  place(namespace: string, key: string, record: T | null): void {
    let rows = this.rows.get(namespace);
    if (record === null) {
      rows?.delete(key);
      if (rows?.size === 0) this.rows.delete(namespace);
      return;
    }
    if (rows === undefined) this.rows.set(namespace, (rows = new Map()));
    rows.set(key, record);
  }
}

export class Change {
  readonly rows: RowChange[] = [];
  readonly undo: (() => void)[] = [];

  put<T>(table: Table<T>, at: readonly [namespace: string, key: string], record: T): void {
    this.place(table, at, record);
  }

  remove<T>(table: Table<T>, at: readonly [namespace: string, key: string]): void {
    this.place(table, at, null);
  }

  private place<T>(table: Table<T>, [namespace, key]: readonly [string, string], record: T | null): void {
    const before = table.get(namespace, key);
    const text = record === null ? null : table.definition.codec.encode(record);
    table.place(namespace, key, record);
    this.rows.push([table.definition.name, namespace, key, text]);
    this.undo.push(() => table.place(namespace, key, before));
  }
}

interface Pending {
  change: Change;
  resolve: () => void;
  reject: (cause: unknown) => void;
}

export interface DatabaseOptions {
  /** The SQLite file; its directory is made with mode 0700. */
  path: string;
  tables: readonly TableDefinition<unknown>[];
  warn: (message: string) => void;
}

export class Database implements AsyncDisposable {
  /** Milliseconds since 1970 when this database was first made: data older than it was never in its records. */
  readonly createdAt: number;
  /** Transactions committed since it was opened; the bench prints them per run. */
  commits = 0;
  /** Those of them that waited for an fsync. */
  syncedCommits = 0;

  private readonly tables: ReadonlyMap<string, Table<unknown>>;
  private readonly worker: Worker;
  private readonly pending = new Map<number, Pending>();
  /** What this turn of the event loop has changed: it goes to the worker together. */
  private unsent: WriterRequest[] = [];
  private nextId = 1;
  private broken: Failure | null = null;
  private closed: Promise<void> | null = null;

  private constructor(loaded: LoadedTables, path: string) {
    this.createdAt = loaded.createdAt;
    this.tables = loaded.tables;
    // The writer's class text is the worker's program: so a bundle needs no second file beside it.
    this.worker = new Worker(`new (${Writer.toString()})(require("node:worker_threads"), require("node:sqlite"))`, {
      eval: true,
      workerData: { path, tables: [...loaded.tables.keys()] },
    });
    this.worker.on("message", (reply: WriterReply) => this.settle(reply));
    this.worker.on("error", (cause) => this.fail(cause));
    this.worker.unref();
  }

  static open(options: DatabaseOptions): Database {
    return new Database(loadDatabase(options), options.path);
  }

  table<T>(definition: TableDefinition<T>): Table<T> {
    const table = this.tables.get(definition.name);
    if (table === undefined) throw new Error(`impossible state: table ${definition.name} was not opened`);
    return table as Table<T>;
  }

  /** Applies `build`'s puts and removes together. If `build` throws, nothing has happened. */
  async change(durability: Durability, build: (change: Change) => void): Promise<void> {
    if (this.broken !== null) throw this.broken;
    if (this.closed !== null) throw new Failure("unavailable", "the metadata database is closed");
    const change = new Change();
    try {
      build(change);
    } catch (thrown) {
      takeBack(change);
      throw thrown;
    }
    if (change.rows.length === 0) return;
    await this.send(durability, change);
  }

  /** Resolves when everything before it is written and the file is closed. */
  close(): Promise<void> {
    this.closed ??=
      this.pending.size === 0 && this.broken === null ? this.finish() : this.drain().then(() => this.finish());
    return this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private send(durability: Durability, change: Change): Promise<void> {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { change, resolve, reject });
      this.worker.ref();
      if (this.unsent.length === 0) queueMicrotask(() => this.post());
      this.unsent.push({ id, sync: durability === "acknowledged", rows: change.rows });
    });
  }

  private post(): void {
    this.worker.postMessage(this.unsent);
    this.unsent = [];
  }

  private settle(reply: WriterReply): void {
    if (reply.failure === null) {
      this.commits++;
      if (reply.synced) this.syncedCommits++;
    }
    const finished: Pending[] = [];
    for (const id of reply.ids) {
      const pending = this.pending.get(id);
      if (pending === undefined) continue;
      this.pending.delete(id);
      finished.push(pending);
    }
    if (this.pending.size === 0) this.worker.unref();
    if (reply.failure === null) {
      for (const pending of finished) pending.resolve();
      return;
    }
    const failure = new Failure("internal", `metadata could not be written: ${reply.failure}`);
    for (const pending of finished.toReversed()) takeBack(pending.change);
    for (const pending of finished) pending.reject(failure);
  }

  private fail(cause: unknown): void {
    this.broken = new Failure("internal", `the metadata writer failed: ${messageOf(cause)}`, { cause });
    const waiting = [...this.pending.values()];
    this.pending.clear();
    for (const pending of waiting.toReversed()) takeBack(pending.change);
    for (const pending of waiting) pending.reject(this.broken);
  }

  private async drain(): Promise<void> {
    while (this.pending.size > 0) await new Promise((done) => setTimeout(done, 1));
  }

  private async finish(): Promise<void> {
    if (this.broken !== null) return;
    const ended = new Promise<void>((resolve) => this.worker.once("exit", () => resolve()));
    this.worker.ref();
    this.worker.postMessage(null);
    await ended;
  }
}

function takeBack(change: Change): void {
  for (const undo of change.undo.toReversed()) undo();
}
