// The content store's files: blobs/sha256/<hex> and ingest/<hash>/{data,ref,startedat,total,updatedat}, as containerd
// lays them out. Called by store.ts, which holds the records.
//
// A blob is durable before its record: write, fsync, check, rename, fsync of the directory.

import { createHash, type Hash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bytes } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";

const READ_PIECE = 1024 * 1024; // bytes per piece handed out
const REF_LIMIT = 4096; // characters

export interface IngestFacts {
  /** `<namespace>/<ref>` */
  name: string;
  offset: number;
  total: number;
  startedAt: number;
  updatedAt: number;
}

export class ContentFiles {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
    mkdirSync(join(root, "blobs/sha256"), { recursive: true, mode: 0o755 });
    mkdirSync(join(root, "ingest"), { recursive: true, mode: 0o755 });
  }

  blobPath(digest: string): string {
    return join(this.root, "blobs/sha256", digest.slice("sha256:".length));
  }

  ingestPath(name: string): string {
    return join(this.root, "ingest", createHash("sha256").update(name).digest("hex"));
  }

  /** Bytes of the blob, or null when there is none. */
  async size(digest: string): Promise<number | null> {
    try {
      return (await stat(this.blobPath(digest))).size;
    } catch {
      return null;
    }
  }

  digests(): string[] {
    const names = readdirSync(join(this.root, "blobs/sha256"));
    return names.filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => `sha256:${name}`);
  }

  async *read(digest: string, offset: number, size: number | null): AsyncIterable<Bytes> {
    if (size === 0) return;
    const end = size === null ? undefined : offset + size - 1;
    const range = { start: offset, highWaterMark: READ_PIECE, ...(end === undefined ? {} : { end }) };
    for await (const piece of createReadStream(this.blobPath(digest), range)) yield piece as Bytes;
  }

  async removeBlob(digest: string): Promise<void> {
    await unlink(this.blobPath(digest)).catch(ignoreMissing);
  }

  async ingest(name: string): Promise<IngestFacts | null> {
    return this.readIngest(this.ingestPath(name));
  }

  async ingests(): Promise<IngestFacts[]> {
    const facts = readdirSync(join(this.root, "ingest")).map((hash) =>
      this.readIngest(join(this.root, "ingest", hash)),
    );
    return (await Promise.all(facts)).filter((fact) => fact !== null);
  }

  async removeIngest(name: string): Promise<void> {
    const path = this.ingestPath(name);
    if (!existsSync(path)) throw new Failure("not_found", `ingest ref ${JSON.stringify(name)}: not found`);
    await rm(path, { recursive: true, force: true });
  }

  async openIngest(name: string, total: number): Promise<Ingest> {
    if (name.length > REF_LIMIT) throw new Failure("invalid_argument", "content ref is too long: invalid argument");
    const path = this.ingestPath(name);
    const before = await this.readIngest(path);
    if (before === null) {
      await mkdir(path, { recursive: true, mode: 0o755 });
      const now = new Date().toISOString();
      await Promise.all([
        writeFile(join(path, "ref"), name),
        writeFile(join(path, "startedat"), now),
        writeFile(join(path, "updatedat"), now),
        total > 0 ? writeFile(join(path, "total"), String(total)) : null,
      ]);
    }
    const file = await open(join(path, "data"), "a+", 0o666);
    const hash = createHash("sha256");
    let offset = 0;
    for await (const piece of createReadStream(join(path, "data"), { highWaterMark: READ_PIECE })) {
      hash.update(piece as Buffer);
      offset += (piece as Buffer).length;
    }
    const startedAt = before?.startedAt ?? Date.now();
    return new Ingest(this, { path, file, hash, facts: { name, offset, total, startedAt, updatedAt: Date.now() } });
  }

  private async readIngest(path: string): Promise<IngestFacts | null> {
    try {
      const name = readFileSync(join(path, "ref"), "utf8");
      const [startedAt, updatedAt] = ["startedat", "updatedat"].map((file) =>
        Date.parse(readFileSync(join(path, file), "utf8")),
      );
      const offset = await stat(join(path, "data")).then(
        (facts) => facts.size,
        () => 0,
      );
      const total = await readFile(join(path, "total"), "utf8").then(Number, () => 0);
      return { name, offset, total, startedAt: startedAt!, updatedAt: updatedAt! };
    } catch {
      return null;
    }
  }
}

/** An open ingest: owns the file handle until finish, keep or drop. */
export class Ingest {
  readonly facts: IngestFacts;
  private readonly files: ContentFiles;
  private readonly path: string;
  private readonly file: FileHandle;
  private hash: Hash;
  private open = true;

  constructor(files: ContentFiles, held: { path: string; file: FileHandle; hash: Hash; facts: IngestFacts }) {
    this.files = files;
    this.path = held.path;
    this.file = held.file;
    this.hash = held.hash;
    this.facts = held.facts;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.hash.update(bytes);
    for (let at = 0; at < bytes.length; ) {
      at += (await this.file.write(bytes, at, bytes.length - at)).bytesWritten;
    }
    this.facts.offset += bytes.length;
    this.facts.updatedAt = Date.now();
  }

  async reset(): Promise<void> {
    await this.file.truncate(0);
    this.hash = createHash("sha256");
    this.facts.offset = 0;
  }

  digest(): string {
    return `sha256:${this.hash.copy().digest("hex")}`;
  }

  /** Renames the verified data to its blob; false when the blob was there already. The ingest is gone either way. */
  async finish(digest: string): Promise<boolean> {
    const blob = this.files.blobPath(digest);
    const fresh = !existsSync(blob);
    if (fresh) {
      await this.file.chmod(0o444);
      await this.file.sync();
    }
    await this.keep();
    if (fresh) {
      await rename(join(this.path, "data"), blob);
      await syncDirectory(join(this.files.root, "blobs/sha256"));
    }
    await rm(this.path, { recursive: true, force: true });
    return fresh;
  }

  /** Closes the file and leaves the ingest for a later writer. */
  async keep(): Promise<void> {
    if (!this.open) return;
    this.open = false;
    await this.file.close();
    await writeFile(join(this.path, "updatedat"), new Date(this.facts.updatedAt).toISOString()).catch(ignoreMissing);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function ignoreMissing(thrown: unknown): void {
  if ((thrown as { code?: string }).code !== "ENOENT") throw thrown;
}
