// containerd's own content store: records in the metadata database, bytes in ContentFiles.
// One per daemon (Blobs); `scoped` gives the contract for one call's namespace and lease.

import type { Bytes } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { fieldReader, parseFilters } from "../filters/filter.ts";
import { addToLease, type LeaseTable } from "../leases/store.ts";
import { type Database, defineTable, type Table } from "../metadata/database.ts";
import { checkDigest, checkLabels, mergeLabels, type Scope, withoutEmpty } from "../values.ts";
import type { CommitOptions, ContentInfo, ContentStore, ContentWriter, IngestStatus } from "./content.ts";
import type { ContentFiles, Ingest, IngestFacts } from "./files.ts";

export const contentTable = defineTable<ContentInfo>("content");

export interface ContentEvents {
  deleted(namespace: string, digest: string): void;
  committed(namespace: string, digest: string, size: number): void;
}

export class Blobs {
  readonly database: Database;
  readonly table: Table<ContentInfo>;
  readonly files: ContentFiles;
  readonly leases: LeaseTable;
  readonly events: ContentEvents;
  /** Refs held by a writer, `<namespace>/<ref>`. */
  readonly held = new Set<string>();
  /** Digests between rename and record: not garbage though no record names them yet. */
  readonly committing = new Map<string, number>();

  constructor(parts: { database: Database; files: ContentFiles; leases: LeaseTable; events: ContentEvents }) {
    this.database = parts.database;
    this.table = parts.database.table(contentTable);
    this.files = parts.files;
    this.leases = parts.leases;
    this.events = parts.events;
  }

  scoped(scope: Scope): ContentStore {
    return new ScopedContent(this, scope);
  }

  isNamed(digest: string): boolean {
    if ((this.committing.get(digest) ?? 0) > 0) return true;
    return this.table.namespaces().some((namespace) => this.table.get(namespace, digest) !== null);
  }
}

class ScopedContent implements ContentStore {
  private readonly blobs: Blobs;
  private readonly scope: Scope;

  constructor(blobs: Blobs, scope: Scope) {
    this.blobs = blobs;
    this.scope = scope;
  }

  async info(digest: string): Promise<ContentInfo> {
    checkDigest(digest);
    const info = this.blobs.table.get(this.scope.namespace, digest);
    if (info === null) throw new Failure("not_found", `content digest ${digest}: not found`);
    return info;
  }

  async list(filters: readonly string[]): Promise<ContentInfo[]> {
    const filter = parseFilters(filters);
    const all = this.blobs.table.list(this.scope.namespace);
    return all.filter((info) => filter(fieldReader({ digest: info.digest, size: String(info.size) }, info.labels)));
  }

  async update(info: Pick<ContentInfo, "digest" | "labels">, fields: readonly string[] | null): Promise<ContentInfo> {
    const current = await this.info(info.digest);
    for (const field of fields ?? []) {
      if (field === "labels" || field.startsWith("labels.")) continue;
      throw new Failure("invalid_argument", `cannot update ${field} field on content info "${info.digest}"`);
    }
    const labels = mergeLabels(current.labels, info.labels, fields);
    checkLabels(labels);
    const next = { ...current, labels, updatedAt: Date.now() };
    const at = [this.scope.namespace, info.digest] as const;
    await this.blobs.database.change("running", (change) => change.put(this.blobs.table, at, next));
    return next;
  }

  async delete(digest: string): Promise<void> {
    await this.info(digest);
    const at = [this.scope.namespace, digest] as const;
    await this.blobs.database.change("acknowledged", (change) => change.remove(this.blobs.table, at));
    this.blobs.events.deleted(this.scope.namespace, digest);
  }

  async *read(digest: string, range = { offset: 0, size: null as number | null }): AsyncIterable<Bytes> {
    const info = await this.info(digest);
    if (range.offset > info.size || range.offset < 0) {
      throw new Failure("out_of_range", `read past object length ${info.size} bytes`);
    }
    yield* this.blobs.files.read(digest, range.offset, range.size);
  }

  async status(ref: string): Promise<IngestStatus> {
    const facts = await this.blobs.files.ingest(this.name(ref));
    if (facts === null) throw new Failure("not_found", `ingest ref ${JSON.stringify(ref)}: not found`);
    return statusOf(ref, facts, "");
  }

  async statuses(filters: readonly string[]): Promise<IngestStatus[]> {
    const filter = parseFilters(filters);
    const prefix = this.name("");
    const mine = (await this.blobs.files.ingests()).filter((facts) => facts.name.startsWith(prefix));
    const all = mine.map((facts) => statusOf(facts.name.slice(prefix.length), facts, ""));
    return all.filter((status) => filter(fieldReader({ ref: status.ref })));
  }

  async writer(ref: string, expected: { size: number; digest: string }): Promise<ContentWriter> {
    if (ref === "") throw new Failure("invalid_argument", "ref must not be empty: invalid argument");
    if (expected.digest !== "") {
      checkDigest(expected.digest);
      if (this.blobs.table.get(this.scope.namespace, expected.digest) !== null) {
        await this.lease(expected.digest);
        throw new Failure("already_exists", `content ${expected.digest}: already exists`);
      }
    }
    const name = this.name(ref);
    if (this.blobs.held.has(name)) throw new Failure("unavailable", `ref ${ref} locked: unavailable`);
    this.blobs.held.add(name);
    try {
      const ingest = await this.blobs.files.openIngest(name, expected.size);
      return new StoreWriter({ blobs: this.blobs, scope: this.scope, ingest, ref, expected: expected.digest });
    } catch (thrown) {
      this.blobs.held.delete(name);
      throw thrown;
    }
  }

  async abort(ref: string): Promise<void> {
    await this.blobs.files.removeIngest(this.name(ref));
  }

  /** A digest that turned out to be there is kept by the caller's lease all the same. */
  private async lease(digest: string): Promise<void> {
    if (this.scope.lease === null) return;
    await this.blobs.database.change("running", (change) =>
      addToLease(this.blobs.leases, change, { scope: this.scope, type: "content", id: digest }),
    );
  }

  private name(ref: string): string {
    return `${this.scope.namespace}/${ref}`;
  }
}

interface WriterParts {
  blobs: Blobs;
  scope: Scope;
  ingest: Ingest;
  ref: string;
  expected: string;
}

class StoreWriter implements ContentWriter {
  private readonly parts: WriterParts;
  private done = false;

  constructor(parts: WriterParts) {
    this.parts = parts;
  }

  get status(): IngestStatus {
    return statusOf(this.parts.ref, this.parts.ingest.facts, this.parts.expected);
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.done) throw new Failure("failed_precondition", "the content writer is closed");
    await this.parts.ingest.write(bytes);
  }

  async reset(): Promise<void> {
    await this.parts.ingest.reset();
  }

  async commit(options: CommitOptions): Promise<string> {
    if (this.done) throw new Failure("failed_precondition", "the content writer is closed");
    const { ingest, blobs, scope, expected } = this.parts;
    checkLabels(options.labels);
    const size = ingest.facts.offset;
    const digest = ingest.digest();
    if (options.size > 0 && options.size !== size) {
      await this.close();
      throw new Failure("failed_precondition", `unexpected commit size ${size}, expected ${options.size}`);
    }
    const wanted = options.digest === "" ? expected : options.digest;
    if (wanted !== "" && wanted !== digest) {
      await this.close();
      throw new Failure("failed_precondition", `unexpected commit digest ${digest}, expected ${wanted}`);
    }
    const holders = blobs.committing.get(digest) ?? 0;
    blobs.committing.set(digest, holders + 1);
    try {
      this.done = true;
      await ingest.finish(digest);
      await this.record(digest, size, options);
    } finally {
      const left = blobs.committing.get(digest)! - 1;
      if (left === 0) blobs.committing.delete(digest);
      else blobs.committing.set(digest, left);
      blobs.held.delete(`${scope.namespace}/${this.parts.ref}`);
    }
    blobs.events.committed(scope.namespace, digest, size);
    return digest;
  }

  async close(): Promise<void> {
    if (this.done) return;
    this.done = true;
    await this.parts.ingest.keep();
    this.parts.blobs.held.delete(`${this.parts.scope.namespace}/${this.parts.ref}`);
  }

  private async record(digest: string, size: number, options: CommitOptions): Promise<void> {
    const { blobs, scope } = this.parts;
    const existing = blobs.table.get(scope.namespace, digest);
    const now = Date.now();
    const info = { digest, size, createdAt: now, updatedAt: now, labels: withoutEmpty(options.labels) };
    await blobs.database.change("acknowledged", (change) => {
      if (existing === null) change.put(blobs.table, [scope.namespace, digest], info);
      addToLease(blobs.leases, change, { scope, type: "content", id: digest });
    });
    if (existing !== null) throw new Failure("already_exists", `content ${digest}: already exists`);
  }
}

function statusOf(ref: string, facts: IngestFacts, expected: string): IngestStatus {
  const { offset, total, startedAt, updatedAt } = facts;
  return { ref, offset, total, expected, startedAt, updatedAt };
}
