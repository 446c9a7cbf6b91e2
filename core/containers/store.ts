// containerd's own container store: rows of the metadata database.

import { decodeUtf8, encodeUtf8, equalBytes, fromBase64, toBase64 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { fieldReader, parseFilters } from "../filters/filter.ts";
import { type Database, defineTable, type RecordCodec, type Table } from "../metadata/database.ts";
import { checkIdentifier, checkLabels, mergeLabels, type Scope, type TypedValue, withoutEmpty } from "../values.ts";
import type { Container, ContainerStore, NewContainer } from "./containers.ts";

const RUNTIME = /^[^\s]+$/;

export interface ContainerEvents {
  created(namespace: string, container: Container): void;
  updated(namespace: string, container: Container): void;
  deleted(namespace: string, id: string): void;
}

export class Containers {
  readonly table: Table<Container>;
  private readonly database: Database;
  private readonly events: ContainerEvents;
  private readonly collect: (wait: boolean) => Promise<void>;

  constructor(database: Database, events: ContainerEvents, collect: (wait: boolean) => Promise<void>) {
    this.database = database;
    this.table = database.table(containerTable);
    this.events = events;
    this.collect = collect;
  }

  scoped(scope: Scope): ContainerStore {
    return {
      get: async (id) => this.get(scope.namespace, id),
      list: async (filters) => this.list(scope.namespace, filters),
      create: (container) => this.create(scope, container),
      update: (container, fields) => this.update(scope, container, fields),
      delete: (id) => this.delete(scope, id),
    };
  }

  get(namespace: string, id: string): Container {
    const container = this.table.get(namespace, id);
    if (container !== null) return container;
    throw new Failure(
      "not_found",
      `container ${JSON.stringify(id)} in namespace ${JSON.stringify(namespace)}: not found`,
    );
  }

  private list(namespace: string, filters: readonly string[]): Container[] {
    const filter = parseFilters(filters);
    return this.table.list(namespace).filter((container) => filter(containerFields(container)));
  }

  private async create(scope: Scope, wanted: NewContainer): Promise<Container> {
    checkIdentifier(wanted.id);
    const now = Date.now();
    const container = { ...wanted, labels: withoutEmpty(wanted.labels), createdAt: now, updatedAt: now };
    check(container);
    await this.database.change(scope.acknowledged ? "acknowledged" : "running", (change) => {
      if (this.table.get(scope.namespace, wanted.id) !== null) {
        throw new Failure("already_exists", `container ${JSON.stringify(wanted.id)}: already exists`);
      }
      change.put(this.table, [scope.namespace, wanted.id], container);
    });
    this.events.created(scope.namespace, container);
    return container;
  }

  private async update(scope: Scope, wanted: NewContainer, fields: readonly string[] | null): Promise<Container> {
    const current = this.get(scope.namespace, wanted.id);
    const next = { ...merge(current, wanted, fields), updatedAt: Date.now() };
    check(next);
    await this.database.change(scope.acknowledged ? "acknowledged" : "running", (change) =>
      change.put(this.table, [scope.namespace, next.id], next),
    );
    this.events.updated(scope.namespace, next);
    return next;
  }

  private async delete(scope: Scope, id: string): Promise<void> {
    this.get(scope.namespace, id);
    await this.database.change(scope.acknowledged ? "acknowledged" : "running", (change) =>
      change.remove(this.table, [scope.namespace, id]),
    );
    this.events.deleted(scope.namespace, id);
    await this.collect(false);
  }
}

function containerFields(container: Container) {
  const fields = { id: container.id, "runtime.name": container.runtime.name, image: container.image };
  return fieldReader(fields, container.labels);
}

function check(container: Container): void {
  checkLabels(container.labels);
  if (!RUNTIME.test(container.runtime.name)) {
    throw new Failure("invalid_argument", "container.Runtime.Name must be set: invalid argument");
  }
  if (container.snapshotKey !== "" && container.snapshotter === "") {
    throw new Failure("invalid_argument", "container.Snapshotter must be set if container.SnapshotKey is set");
  }
}

function merge(current: Container, wanted: NewContainer, fields: readonly string[] | null): Container {
  if (fields === null || fields.length === 0) {
    for (const fixed of ["snapshotter"] as const) {
      if (current[fixed] !== wanted[fixed])
        throw new Failure("invalid_argument", `container.${fixed} field is immutable`);
    }
    return { ...current, ...wanted, labels: withoutEmpty(wanted.labels) };
  }
  let next = current;
  for (const field of fields) {
    if (field === "spec") next = { ...next, spec: wanted.spec };
    else if (field === "image") next = { ...next, image: wanted.image };
    else if (field === "snapshotkey") next = { ...next, snapshotKey: wanted.snapshotKey };
    else if (field === "snapshotter") next = { ...next, snapshotter: wanted.snapshotter };
    else if (field === "runtime") next = { ...next, runtime: wanted.runtime };
    else if (field === "labels" || field.startsWith("labels.")) {
      next = { ...next, labels: mergeLabels(next.labels, wanted.labels, [field]) };
    } else if (field === "extensions") next = { ...next, extensions: wanted.extensions };
    else if (field.startsWith("extensions.")) next = { ...next, extensions: extended(next, wanted, field) };
    else throw new Failure("invalid_argument", `cannot update ${field} field on ${JSON.stringify(current.id)}`);
  }
  return next;
}

function extended(current: Container, wanted: NewContainer, field: string): Record<string, TypedValue> {
  const key = field.slice("extensions.".length);
  const extensions: Record<string, TypedValue> = { ...current.extensions };
  const value = wanted.extensions[key];
  if (value === undefined) delete extensions[key];
  else extensions[key] = value;
  return extensions;
}

/** Typed values that are JSON stay readable in the row; others are base64. */
type StoredValue = { typeUrl: string; text: string } | { typeUrl: string; base64: string };

function toStored(value: TypedValue | null): StoredValue | null {
  if (value === null) return null;
  const text = decodeUtf8(value.value);
  const readable = text.startsWith("{") && equalBytes(encodeUtf8(text), value.value);
  return readable ? { typeUrl: value.typeUrl, text } : { typeUrl: value.typeUrl, base64: toBase64(value.value) };
}

function fromStored(stored: StoredValue | null): TypedValue | null {
  if (stored === null) return null;
  const value = "text" in stored ? encodeUtf8(stored.text) : fromBase64(stored.base64);
  if (value === null) throw new SyntaxError("a typed value is not base64");
  return { typeUrl: stored.typeUrl, value };
}

const containerCodec: RecordCodec<Container> = {
  encode(container) {
    const extensions = Object.entries(container.extensions).map(([key, value]) => [key, toStored(value)]);
    return JSON.stringify({
      ...container,
      runtime: { name: container.runtime.name, options: toStored(container.runtime.options) },
      spec: toStored(container.spec),
      extensions: Object.fromEntries(extensions),
    });
  },
  decode(text) {
    const row = JSON.parse(text) as Omit<Container, "spec" | "runtime" | "extensions"> & {
      spec: StoredValue | null;
      runtime: { name: string; options: StoredValue | null };
      extensions: Record<string, StoredValue>;
    };
    const extensions = Object.entries(row.extensions).map(([key, stored]) => [key, fromStored(stored)]);
    return {
      ...row,
      runtime: { name: row.runtime.name, options: fromStored(row.runtime.options) },
      spec: fromStored(row.spec),
      extensions: Object.fromEntries(extensions) as Record<string, TypedValue>,
    };
  },
};

export const containerTable = defineTable<Container>("containers", containerCodec);
