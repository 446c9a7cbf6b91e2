// containerd's own leases: rows of the metadata database. The other stores call addToLease inside their own change, so
// that a resource and the lease that keeps it are committed together.

import { randomBytes } from "node:crypto";
import { Failure } from "../../base/errors.ts";
import { fieldReader, parseFilters } from "../filters/filter.ts";
import { type Change, type Database, defineTable, type Table } from "../metadata/database.ts";
import { checkLabels, type Labels, type Scope } from "../values.ts";
import type { Lease, LeaseResource, LeaseStore } from "./leases.ts";

export interface LeaseRecord extends Lease {
  readonly resources: readonly LeaseResource[];
}

export type LeaseTable = Table<LeaseRecord>;
export const leaseTable = defineTable<LeaseRecord>("leases");

const ID_LIMIT = 256; // characters
const RESOURCE_LIMIT = 100_000; // resources of one lease
const RESOURCE_TYPE = /^(content|ingests|images|snapshots\/[A-Za-z0-9._-]+)$/;

export function addToLease(table: LeaseTable, change: Change, added: { scope: Scope; type: string; id: string }): void {
  const { scope, type, id } = added;
  if (scope.lease === null) return;
  const lease = table.get(scope.namespace, scope.lease);
  if (lease === null) throw new Failure("not_found", `lease "${scope.lease}": not found`);
  if (lease.resources.some((resource) => resource.type === type && resource.id === id)) return;
  if (lease.resources.length >= RESOURCE_LIMIT) {
    throw new Failure("resource_exhausted", `lease "${scope.lease}" holds ${RESOURCE_LIMIT} resources already`);
  }
  change.put(table, [scope.namespace, scope.lease], { ...lease, resources: [...lease.resources, { type, id }] });
}

export class Leases {
  private readonly database: Database;
  readonly table: LeaseTable;
  private readonly collect: (wait: boolean) => Promise<void>;

  constructor(database: Database, collect: (wait: boolean) => Promise<void>) {
    this.database = database;
    this.table = database.table(leaseTable);
    this.collect = collect;
  }

  scoped(scope: Scope): LeaseStore {
    const { namespace } = scope;
    return {
      create: (lease) => this.create(namespace, lease),
      delete: (id, sync) => this.delete(namespace, id, sync),
      list: async (filters) => this.list(namespace, filters),
      addResource: (id, resource) =>
        this.alter(namespace, id, (held) => [...without(held, resource), checked(resource)]),
      deleteResource: (id, resource) => this.alter(namespace, id, (held) => without(held, resource)),
      listResources: async (id) => [...this.record(namespace, id).resources],
    };
  }

  private async create(namespace: string, wanted: { id: string; labels: Labels }): Promise<Lease> {
    const id = wanted.id === "" ? `${Date.now()}-${randomBytes(3).toString("hex")}` : wanted.id;
    // Clients make ids of their own that no identifier would be ("433791369-3R3_"); the original takes any.
    if (id.length > ID_LIMIT) throw new Failure("invalid_argument", "lease id is too long: invalid argument");
    checkLabels(wanted.labels);
    const lease = { id, createdAt: Date.now(), labels: { ...wanted.labels }, resources: [] };
    await this.database.change("running", (change) => {
      if (this.table.get(namespace, id) !== null) throw new Failure("already_exists", `lease "${id}": already exists`);
      change.put(this.table, [namespace, id], lease);
    });
    return lease;
  }

  private async delete(namespace: string, id: string, sync: boolean): Promise<void> {
    this.record(namespace, id);
    await this.database.change("running", (change) => change.remove(this.table, [namespace, id]));
    await this.collect(sync);
  }

  private list(namespace: string, filters: readonly string[]): Lease[] {
    const filter = parseFilters(filters);
    return this.table.list(namespace).filter((lease) => filter(fieldReader({ id: lease.id }, lease.labels)));
  }

  private record(namespace: string, id: string): LeaseRecord {
    const lease = this.table.get(namespace, id);
    if (lease === null) throw new Failure("not_found", `lease "${id}": not found`);
    return lease;
  }

  private async alter(
    namespace: string,
    id: string,
    next: (held: readonly LeaseResource[]) => LeaseResource[],
  ): Promise<void> {
    await this.database.change("running", (change) => {
      const lease = this.record(namespace, id);
      change.put(this.table, [namespace, id], { ...lease, resources: next(lease.resources) });
    });
  }
}

function without(held: readonly LeaseResource[], gone: LeaseResource): LeaseResource[] {
  return held.filter((resource) => resource.id !== gone.id || resource.type !== gone.type);
}

function checked(resource: LeaseResource): LeaseResource {
  if (RESOURCE_TYPE.test(resource.type)) return { id: resource.id, type: resource.type };
  throw new Failure("invalid_argument", `unknown resource type "${resource.type}"`);
}
