// Opening a database at start: refuse what belongs to another engine, quarantine what is damaged, read everything.
//
// A start never fails for a damaged file: the file is set aside under a name that says so, every row that can still be
// read is carried over, and the log names both. Rows of a table are (namespace, key, record as JSON text).

import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf } from "../../base/errors.ts";
import { type DatabaseOptions, Table, type TableDefinition } from "./database.ts";

const SCHEMA_VERSION = 1;

export interface LoadedTables {
  createdAt: number;
  tables: Map<string, Table<unknown>>;
}

type Row = { namespace: string; key: string; record: string };

export function loadDatabase(options: DatabaseOptions): LoadedTables {
  mkdirSync(dirname(options.path), { recursive: true, mode: 0o700 });
  try {
    return readDatabase(options);
  } catch (thrown) {
    if (thrown instanceof NewerSchema) throw thrown;
    return rebuildDatabase(options, messageOf(thrown));
  }
}

class NewerSchema extends Error {}

function readDatabase(options: DatabaseOptions): LoadedTables {
  const database = new DatabaseSync(options.path);
  try {
    database.exec("PRAGMA journal_mode=WAL; PRAGMA busy_timeout=5000");
    const version = Number((database.prepare("PRAGMA user_version").get() as { user_version: number }).user_version);
    if (version > SCHEMA_VERSION) throw new NewerSchema(`${options.path} was written by a newer version of Gantry`);
    const check = database.prepare("PRAGMA quick_check(1)").get() as { quick_check: string };
    if (check.quick_check !== "ok") throw new Error(check.quick_check);
    const createdAt = createTables(database, options.tables);
    const tables = new Map<string, Table<unknown>>();
    for (const definition of options.tables) tables.set(definition.name, readTable(database, definition, options.warn));
    return { createdAt, tables };
  } finally {
    database.close();
  }
}

function createTables(database: DatabaseSync, definitions: readonly TableDefinition<unknown>[]): number {
  database.exec("BEGIN IMMEDIATE");
  database.exec("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID");
  for (const { name } of definitions) {
    database.exec(
      `CREATE TABLE IF NOT EXISTS "${name}" (namespace TEXT NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL, ` +
        "PRIMARY KEY (namespace, key)) WITHOUT ROWID",
    );
  }
  database.prepare("INSERT OR IGNORE INTO facts VALUES ('created_at', ?)").run(String(Date.now()));
  database.exec(`PRAGMA user_version=${SCHEMA_VERSION}`);
  database.exec("COMMIT");
  const fact = database.prepare("SELECT value FROM facts WHERE name = 'created_at'").get() as { value: string };
  return Number(fact.value);
}

/** A row that does not decode is reported and left out: one bad record never stops a daemon. */
function readTable(
  database: DatabaseSync,
  definition: TableDefinition<unknown>,
  warn: (message: string) => void,
): Table<unknown> {
  const table = new Table(definition);
  const statement = database.prepare(`SELECT namespace, key, record FROM "${definition.name}"`);
  for (const row of statement.iterate() as Iterable<Row>) {
    try {
      table.place(row.namespace, row.key, definition.codec.decode(row.record));
    } catch (thrown) {
      warn(`record ${definition.name} ${row.namespace}/${row.key} is unreadable and left out: ${messageOf(thrown)}`);
    }
  }
  return table;
}

function rebuildDatabase(options: DatabaseOptions, reason: string): LoadedTables {
  const aside = `${options.path}.damaged-${new Date().toISOString().replace(/[:.]/g, "-")}`;
  for (const suffix of ["", "-wal", "-shm"]) {
    if (existsSync(options.path + suffix)) renameSync(options.path + suffix, aside + suffix);
  }
  options.warn(`metadata database ${options.path} is damaged (${reason}); set aside as ${aside}`);
  const saved = salvageRows(aside, options);
  readDatabase(options);
  const database = new DatabaseSync(options.path);
  try {
    database.exec("BEGIN IMMEDIATE");
    for (const [name, rows] of saved) {
      const insert = database.prepare(`INSERT OR REPLACE INTO "${name}" VALUES (?, ?, ?)`);
      for (const row of rows) insert.run(row.namespace, row.key, row.record);
    }
    database.exec("COMMIT");
  } finally {
    database.close();
  }
  return readDatabase(options);
}

function salvageRows(path: string, options: DatabaseOptions): Map<string, Row[]> {
  const saved = new Map<string, Row[]>();
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path);
    for (const { name } of options.tables) saved.set(name, salvageTable(database, name));
  } catch (thrown) {
    options.warn(`nothing more can be read from ${path}: ${messageOf(thrown)}`);
  } finally {
    database?.close();
  }
  const count = [...saved.values()].reduce((sum, rows) => sum + rows.length, 0);
  options.warn(`${count} records were carried over from ${path}`);
  return saved;
}

function salvageTable(database: DatabaseSync, name: string): Row[] {
  const rows: Row[] = [];
  try {
    const statement = database.prepare(`SELECT namespace, key, record FROM "${name}"`);
    for (const row of statement.iterate() as Iterable<Row>) rows.push({ ...row });
  } catch {
    // What lies behind the damaged page is lost; what came before it is kept.
  }
  return rows;
}
