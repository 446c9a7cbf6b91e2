// The worker that owns the writing connection: it gathers what arrived while the last commit ran into one transaction.
// Its class text is handed to the worker thread as source (see database.ts), so it may refer to nothing outside itself.

export interface WriterRequest {
  id: number;
  /** Wait for the disk. */
  sync: boolean;
  rows: [table: string, namespace: string, key: string, text: string | null][];
}

export interface WriterReply {
  ids: number[];
  synced: boolean;
  failure: string | null;
}

type Threads = Pick<typeof import("node:worker_threads"), "parentPort" | "workerData">;
type Sqlite = Pick<typeof import("node:sqlite"), "DatabaseSync">;

export class Writer {
  constructor(threads: Threads, sqlite: Sqlite) {
    const { path, tables } = threads.workerData as { path: string; tables: string[] };
    const database = new sqlite.DatabaseSync(path);
    database.exec("PRAGMA journal_mode=WAL; PRAGMA busy_timeout=5000; PRAGMA synchronous=NORMAL");
    const puts = new Map(
      tables.map((name) => [name, database.prepare(`INSERT OR REPLACE INTO "${name}" VALUES (?, ?, ?)`)]),
    );
    const removes = new Map(
      tables.map((name) => [name, database.prepare(`DELETE FROM "${name}" WHERE namespace = ? AND key = ?`)]),
    );
    const port = threads.parentPort!;
    let queue: WriterRequest[] = [];
    let synchronous = false;
    let scheduled = false;

    const commit = (batch: WriterRequest[]): string | null => {
      try {
        const sync = batch.some((request) => request.sync);
        if (sync !== synchronous) database.exec(`PRAGMA synchronous=${sync ? "FULL" : "NORMAL"}`);
        synchronous = sync;
        database.exec("BEGIN IMMEDIATE");
        for (const request of batch) {
          for (const [table, namespace, key, text] of request.rows) {
            if (text === null) removes.get(table)!.run(namespace, key);
            else puts.get(table)!.run(namespace, key, text);
          }
        }
        database.exec("COMMIT");
        return null;
      } catch (thrown) {
        if (database.isTransaction) database.exec("ROLLBACK");
        return thrown instanceof Error ? thrown.message : String(thrown);
      }
    };

    const flush = (): void => {
      scheduled = false;
      const batch = queue;
      queue = [];
      if (batch.length === 0) return;
      const failure = commit(batch);
      const reply: WriterReply = { ids: batch.map((request) => request.id), synced: synchronous, failure };
      port.postMessage(reply);
    };

    port.on("message", (requests: WriterRequest[] | null) => {
      if (requests === null) {
        flush();
        database.close();
        port.close();
        return;
      }
      queue.push(...requests);
      if (!scheduled) setImmediate(flush);
      scheduled = true;
    });
  }
}
