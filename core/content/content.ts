// Content: immutable blobs named by their digest, and the ingests that become blobs.
//
//     writer(ref) ──▶ ingest: data grows at `offset` ──commit──▶ size and digest checked, durable ──▶ blob
//        ▲                 │                                                 │
//        └── same ref ─────┘ (resumes after a broken connection)             └── a blob is never changed again
//
// A ref names an ingest and is chosen by the writer (`layer-sha256:…`); one writer at a time holds it, a second
// one gets "unavailable". A blob belongs to the namespaces that have a record of it; the bytes are stored once. Labels
// carry what garbage collection follows (containerd.io/gc.ref.content.*, gc.ref.snapshot.*) and where it came from.
//
// store.ts is containerd's own body; remote.ts is the same over gRPC; conformance.ts runs on both.

import type { Bytes } from "../../base/bytes.ts";
import type { Labels } from "../values.ts";

export interface ContentInfo {
  readonly digest: string;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly labels: Labels;
}

export interface IngestStatus {
  readonly ref: string;
  /** Bytes written so far. */
  readonly offset: number;
  /** The size announced, 0 when unknown. */
  readonly total: number;
  readonly expected: string;
  readonly startedAt: number;
  readonly updatedAt: number;
}

export interface CommitOptions {
  /** Expected size; 0 when unknown. */
  readonly size: number;
  /** Expected digest; empty when unknown. */
  readonly digest: string;
  readonly labels: Labels;
}

export interface ContentWriter {
  /** Bytes already there: greater than 0 when an ingest is resumed. */
  readonly status: IngestStatus;
  /** Appends. The buffer may be reused when it resolves. */
  write(bytes: Uint8Array): Promise<void>;
  /** Begins again at nothing: what was written is dropped. */
  reset(): Promise<void>;
  /** Makes the blob and gives its digest. "already_exists" when the namespace has it, "failed_precondition" when size
   *  or digest are not as expected; the ingest is gone in the first case and kept in the second. */
  commit(options: CommitOptions): Promise<string>;
  /** Lets go of the ref; the ingest stays for another writer. Idempotent, and implied by commit. */
  close(): Promise<void>;
}

export interface ContentStore {
  info(digest: string): Promise<ContentInfo>;
  list(filters: readonly string[]): Promise<ContentInfo[]>;
  update(info: Pick<ContentInfo, "digest" | "labels">, fields: readonly string[] | null): Promise<ContentInfo>;
  delete(digest: string): Promise<void>;
  /** The bytes from offset, at most `size` of them (null: to the end), in pieces. */
  read(digest: string, range?: { offset: number; size: number | null }): AsyncIterable<Bytes>;
  status(ref: string): Promise<IngestStatus>;
  statuses(filters: readonly string[]): Promise<IngestStatus[]>;
  /** "already_exists" at once when `expected.digest` is there. */
  writer(ref: string, expected: { size: number; digest: string }): Promise<ContentWriter>;
  abort(ref: string): Promise<void>;
}
