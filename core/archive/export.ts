// Images to an archive: an OCI layout that also has the manifest.json of `docker save`, so that both kinds of reader
// take it. Blobs stream from the content store; nothing is held whole. Works over the contracts, as import does.

import type { Readable } from "node:stream";
import { pack } from "tar-stream";
import { Failure } from "../../base/errors.ts";
import type { ContentStore } from "../content/content.ts";
import type { Image } from "../images/images.ts";
import {
  hostPlatform,
  isIndex,
  isManifest,
  type Platform,
  readIndex,
  readManifest,
  resolveManifest,
} from "../images/manifest.ts";
import { familiarRepository, parseReference } from "../images/reference.ts";
import type { Descriptor } from "../values.ts";
import type { DockerManifest } from "./docker.ts";

const DEPTH_LIMIT = 8; // indexes inside indexes
const BLOB_LIMIT = 65_536; // blobs of one archive

export interface ExportOptions {
  /** Null for every platform that is there. */
  platform: Platform | null;
  /** Leaves out manifest.json. */
  skipDockerManifest: boolean;
}

type Pack = ReturnType<typeof pack>;

/** The archive as a stream; it fails when a blob cannot be read. Everything is looked up before the first byte. */
export async function exportArchive(
  content: ContentStore,
  images: readonly Image[],
  options: ExportOptions,
): Promise<Readable> {
  const plan = new ExportPlan(content, options.platform);
  for (const image of images) await plan.add(image);
  const archive = pack();
  write(archive, content, plan, options).then(
    () => archive.finalize(),
    (thrown: Error) => archive.destroy(thrown),
  );
  return archive as unknown as Readable;
}

class ExportPlan {
  readonly blobs = new Map<string, Descriptor>();
  readonly entries: Descriptor[] = [];
  readonly docker = new Map<string, DockerManifest>();
  private readonly content: ContentStore;
  private readonly platform: Platform | null;

  constructor(content: ContentStore, platform: Platform | null) {
    this.content = content;
    this.platform = platform;
  }

  async add(image: Image): Promise<void> {
    const wanted =
      this.platform === null ? image.target : (await resolveManifest(this.content, image.target, this.platform)).target;
    if (!(await this.collect(wanted, 0))) {
      throw new Failure("not_found", `image ${image.name}: content of ${wanted.digest} is not there: not found`);
    }
    const annotations = { "io.containerd.image.name": image.name, ...refName(image.name) };
    const { mediaType, digest, size } = wanted;
    this.entries.push({ mediaType, digest, size, annotations });
    await this.addDocker(image);
  }

  /** False when a platform's manifest is not there, which an index allows. */
  private async collect(target: Descriptor, depth: number): Promise<boolean> {
    if (depth > DEPTH_LIMIT) throw new Failure("invalid_argument", "indexes are nested too deep");
    if (this.blobs.size > BLOB_LIMIT)
      throw new Failure("resource_exhausted", `more than ${BLOB_LIMIT} blobs to export`);
    const [info] = await this.content.list([`digest==${target.digest}`]);
    if (info === undefined) return false;
    const { mediaType, digest } = target;
    this.blobs.set(digest, { mediaType, digest, size: info.size });
    if (isIndex(mediaType)) {
      let some = false;
      for (const child of (await readIndex(this.content, target)).manifests) {
        some = (await this.collect(child, depth + 1)) || some;
      }
      return some;
    }
    if (!isManifest(mediaType)) return true;
    const manifest = await readManifest(this.content, target);
    for (const child of [manifest.config, ...manifest.layers]) {
      if (!(await this.collect(child, depth + 1))) {
        throw new Failure("not_found", `content digest ${child.digest}: not found`);
      }
    }
    return true;
  }

  /** Docker knows one manifest for each image: this machine's platform, if it is there. */
  private async addDocker(image: Image): Promise<void> {
    const found = await resolveManifest(this.content, image.target, this.platform ?? hostPlatform()).catch(() => null);
    if (found === null) return;
    const known = this.docker.get(found.target.digest);
    const { config, layers } = found.manifest;
    const entry = known ?? {
      Config: pathOf(config.digest),
      RepoTags: [],
      Layers: layers.map((one) => pathOf(one.digest)),
    };
    const tag = dockerTag(image.name);
    if (tag !== null) entry.RepoTags = [...(entry.RepoTags ?? []), tag];
    this.docker.set(found.target.digest, entry);
  }
}

async function write(archive: Pack, content: ContentStore, plan: ExportPlan, options: ExportOptions): Promise<void> {
  const document = (name: string, value: unknown): void => {
    archive.entry({ name, mode: 0o444, mtime: new Date(0) }, JSON.stringify(value));
  };
  document("oci-layout", { imageLayoutVersion: "1.0.0" });
  for (const { digest, size } of [...plan.blobs.values()].toSorted((a, b) => (a.digest < b.digest ? -1 : 1))) {
    await writeBlob(archive, content, { digest, size });
  }
  document("index.json", { schemaVersion: 2, manifests: plan.entries });
  if (!options.skipDockerManifest) document("manifest.json", [...plan.docker.values()]);
}

/** The archive's own buffer holds the reader back. */
async function writeBlob(archive: Pack, content: ContentStore, blob: { digest: string; size: number }): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const entry = archive.entry(
    { name: pathOf(blob.digest), size: blob.size, mode: 0o444, mtime: new Date(0) },
    (error) => {
      if (error) reject(error);
      else resolve();
    },
  );
  promise.catch(() => {});
  for await (const piece of content.read(blob.digest, { offset: 0, size: null })) {
    if (!entry.write(piece)) await drained(entry);
    if (archive.destroyed) throw new Failure("canceled", "the reader of the archive went away");
  }
  (entry as unknown as NodeJS.WritableStream).end();
  await promise;
}

/** Resolves, too, when the reader went away: nothing drains then. */
function drained(entry: ReturnType<Pack["entry"]>): Promise<void> {
  return new Promise((resolve) => {
    entry.once("drain", () => resolve());
    entry.once("close", () => resolve());
  });
}

function pathOf(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

function refName(name: string): Record<string, string> {
  try {
    const tag = parseReference(name).tag;
    return tag === null ? {} : { "org.opencontainers.image.ref.name": tag };
  } catch {
    return { "org.opencontainers.image.ref.name": name };
  }
}

/** As Docker shows it; null for an image that has no tag, or a name that Docker could not read. */
function dockerTag(name: string): string | null {
  try {
    const { repository, tag } = parseReference(name);
    return tag === null ? null : `${familiarRepository(repository)}:${tag}`;
  } catch {
    return null;
  }
}
