// containerd's own namespaces: rows of the metadata database, and every namespace that some other row stands in.

import { Failure } from "../../base/errors.ts";
import { fieldReader, parseFilters } from "../filters/filter.ts";
import { type Database, defineTable, type Table } from "../metadata/database.ts";
import { checkIdentifier, checkLabels, mergeLabels, withoutEmpty } from "../values.ts";
import type { Namespace, NamespaceStore } from "./namespaces.ts";

export const namespaceTable = defineTable<Namespace>("namespaces");

/** Namespace rows stand in no namespace themselves. */
const NOWHERE = "";

export interface NamespaceEvents {
  created(namespace: Namespace): void;
  updated(namespace: Namespace): void;
  deleted(name: string): void;
}

/** What may keep a namespace from being empty: the word for it and the table. */
export type Occupants = readonly (readonly [noun: string, table: Table<unknown>])[];

export class Namespaces implements NamespaceStore {
  private readonly database: Database;
  private readonly table: Table<Namespace>;
  private readonly occupants: Occupants;
  private readonly events: NamespaceEvents;

  constructor(database: Database, occupants: Occupants, events: NamespaceEvents) {
    this.database = database;
    this.table = database.table(namespaceTable);
    this.occupants = occupants;
    this.events = events;
  }

  /** A namespace that nothing stands in yet is one without labels: dockerd asks before it makes anything. */
  async get(name: string): Promise<Namespace> {
    return this.find(name) ?? { name, labels: {} };
  }

  async list(expression: string): Promise<Namespace[]> {
    const filter = parseFilters(expression === "" ? [] : [expression]);
    const names = new Set(this.table.keys(NOWHERE));
    for (const [, table] of this.occupants) for (const name of table.namespaces()) names.add(name);
    const all = [...names].toSorted().map((name) => this.find(name)!);
    return all.filter((namespace) => filter(fieldReader({ name: namespace.name }, namespace.labels)));
  }

  async create(wanted: Namespace): Promise<Namespace> {
    checkIdentifier(wanted.name);
    checkLabels(wanted.labels);
    const namespace = { name: wanted.name, labels: withoutEmpty(wanted.labels) };
    await this.database.change("acknowledged", (change) => {
      if (this.find(wanted.name) !== null) {
        throw new Failure("already_exists", `namespace "${wanted.name}": already exists`);
      }
      change.put(this.table, [NOWHERE, wanted.name], namespace);
    });
    this.events.created(namespace);
    return namespace;
  }

  async update(wanted: Namespace, fields: readonly string[] | null): Promise<Namespace> {
    const current = await this.get(wanted.name);
    const labels = mergeLabels(current.labels, wanted.labels, fields);
    checkLabels(labels);
    const next = { name: wanted.name, labels };
    await this.database.change("acknowledged", (change) => change.put(this.table, [NOWHERE, wanted.name], next));
    this.events.updated(next);
    return next;
  }

  async delete(name: string): Promise<void> {
    if (this.find(name) === null) throw new Failure("not_found", `namespace "${name}": not found`);
    const inside = this.occupants.filter(([, table]) => table.namespaces().includes(name)).map(([noun]) => noun);
    if (inside.length > 0) {
      throw new Failure(
        "failed_precondition",
        `namespace "${name}" must be empty, but it still has ${inside.join(", ")}: failed precondition`,
      );
    }
    await this.database.change("acknowledged", (change) => change.remove(this.table, [NOWHERE, name]));
    this.events.deleted(name);
  }

  private find(name: string): Namespace | null {
    const row = this.table.get(NOWHERE, name);
    if (row !== null) return row;
    const lived = this.occupants.some(([, table]) => table.namespaces().includes(name));
    return lived ? { name, labels: {} } : null;
  }
}
