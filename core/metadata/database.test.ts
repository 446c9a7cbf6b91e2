// The metadata database: what survives, what shares a transaction, and what becomes of a damaged file.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { Database, defineTable } from "./database.ts";

const things = defineTable<{ value: number }>("things");

async function withDirectory(body: (path: string, warnings: string[]) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "metadata-"));
  try {
    await body(join(directory, "m", "metadata.sqlite"), []);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function open(path: string, warnings: string[] = []): Database {
  return Database.open({ path, tables: [things], warn: (message) => warnings.push(message) });
}

test("a record that was put is there after the database is opened again", () =>
  withDirectory(async (path) => {
    const first = open(path);
    await first.change("acknowledged", (change) => change.put(first.table(things), ["ns", "a"], { value: 7 }));
    assert.equal(first.commits, 1);
    assert.equal(first.syncedCommits, 1);
    await first.close();
    const second = open(path);
    assert.deepEqual(second.table(things).get("ns", "a"), { value: 7 });
    assert.equal(second.createdAt, first.createdAt);
    await second.close();
  }));

test("changes made together share a transaction", () =>
  withDirectory(async (path) => {
    const database = open(path);
    const table = database.table(things);
    const put = (key: number) =>
      database.change("running", (change) => change.put(table, ["ns", String(key)], { value: key }));
    await put(0);
    const before = database.commits;
    await Promise.all(Array.from({ length: 100 }, (_, key) => put(key)));
    assert.equal(database.commits - before, 1);
    assert.equal(table.list("ns").length, 100);
    await database.close();
  }));

test("a change whose builder throws leaves nothing behind", () =>
  withDirectory(async (path) => {
    const database = open(path);
    const table = database.table(things);
    await assert.rejects(
      database.change("running", (change) => {
        change.put(table, ["ns", "a"], { value: 1 });
        throw new Error("no");
      }),
    );
    assert.equal(table.get("ns", "a"), null);
    await database.close();
  }));

test("a damaged file is set aside, named in the log, and replaced by a working one", () =>
  withDirectory(async (path, warnings) => {
    const first = open(path);
    await first.change("acknowledged", (change) => {
      for (let key = 0; key < 500; key++) change.put(first.table(things), ["ns", `key-${key}`], { value: key });
    });
    await first.close();
    const bytes = readFileSync(path);
    bytes.fill(0x5a, 8192, 12288);
    writeFileSync(path, bytes);
    const second = open(path, warnings);
    assert.match(warnings[0]!, /is damaged/);
    assert.ok(readdirSync(join(path, "..")).some((name) => name.includes(".damaged-")));
    await second.change("running", (change) => change.put(second.table(things), ["ns", "new"], { value: 1 }));
    await second.close();
  }));

test("a file that is no database at all is set aside", () =>
  withDirectory(async (path, warnings) => {
    await open(path).close();
    writeFileSync(path, "not a database, whatever its name says".repeat(100));
    const database = open(path, warnings);
    assert.match(warnings[0]!, /set aside/);
    await database.close();
  }));
