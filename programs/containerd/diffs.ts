// The contract of core/diff on this machine: content ─▶ decompression and digest (here) ─▶ containerd-unpack, and the
// other way for a comparison. Nothing is held whole in memory.

import { createHash, type Hash, randomBytes } from "node:crypto";
import { Readable, Transform } from "node:stream";
import { createGunzip, createGzip, createZstdDecompress } from "node:zlib";
import { codeOf, Failure, messageOf } from "../../base/errors.ts";
import type { ContentStore } from "../../core/content/content.ts";
import type { DiffService } from "../../core/diff/diff.ts";
import { MEDIA } from "../../core/images/manifest.ts";
import type { Descriptor, Mount } from "../../core/values.ts";
import type { Unpacker } from "./call/unpack.ts";

const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];
const LAYER =
  /^application\/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1\.tar|docker\.image\.rootfs(\.foreign)?\.diff\.tar)/;

export interface DiffParts {
  content: ContentStore;
  unpacker: Unpacker;
  /** Told of a layer directory whose files are on the disk now. */
  synced: (path: string) => void;
}

export function diffService(parts: DiffParts): DiffService {
  return {
    apply: (layer, mounts) => applyLayer(parts, layer, mounts),
    compare: (lower, upper, options) => compareLayers(parts, { lower, upper, ...options }),
  };
}

async function applyLayer(parts: DiffParts, layer: Descriptor, mounts: readonly Mount[]): Promise<Descriptor> {
  if (!LAYER.test(layer.mediaType)) {
    throw new Failure("unimplemented", `currently unsupported media type: ${layer.mediaType}: not implemented`);
  }
  const info = await parts.content.info(layer.digest);
  const source = Readable.from(parts.content.read(info.digest, { offset: 0, size: null }), { objectMode: false });
  const archive = await decompressed(source);
  const meter = new Meter();
  let broken: unknown = null;
  archive.on("error", (thrown) => {
    broken = thrown;
    meter.destroy(thrown);
  });
  try {
    await parts.unpacker.apply(mounts, archive.pipe(meter));
  } catch (thrown) {
    if (broken === null) throw thrown;
    const reason = `layer ${layer.digest} cannot be decompressed: ${messageOf(broken)}`;
    throw new Failure("invalid_argument", reason, { cause: broken });
  } finally {
    source.destroy();
    archive.destroy();
  }
  for (const path of upperDirectories(mounts)) parts.synced(path);
  return { mediaType: MEDIA.layer, digest: meter.digest(), size: meter.size };
}

/** By the first bytes, not by the media type: Docker calls gzipped layers plain ones now and then. */
async function decompressed(source: Readable): Promise<Readable> {
  const head = await firstBytes(source);
  const begins = (mark: readonly number[]) => mark.every((byte, at) => head[at] === byte);
  if (begins(GZIP)) return piped(source, createGunzip());
  if (begins(ZSTD)) return piped(source, createZstdDecompress());
  return source;
}

function piped(source: Readable, transform: Transform | ReturnType<typeof createGunzip>): Readable {
  source.on("error", (thrown) => transform.destroy(thrown));
  source.pipe(transform);
  return transform;
}

async function firstBytes(source: Readable): Promise<Uint8Array> {
  for (;;) {
    const piece = source.read() as Buffer | null;
    if (piece !== null) {
      source.unshift(piece);
      return piece;
    }
    if (source.readableEnded || source.errored !== null) return new Uint8Array(0);
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        for (const event of ["readable", "end", "error"]) source.off(event, wake);
        resolve();
      };
      for (const event of ["readable", "end", "error"]) source.once(event, wake);
    });
  }
}

/** Counts and digests what passes. */
class Meter extends Transform {
  size = 0;
  private readonly hash: Hash = createHash("sha256");

  override _transform(piece: Buffer, _encoding: string, done: (error: null, piece: Buffer) => void): void {
    this.hash.update(piece);
    this.size += piece.length;
    done(null, piece);
  }

  digest(): string {
    return `sha256:${this.hash.copy().digest("hex")}`;
  }
}

function upperDirectories(mounts: readonly Mount[]): string[] {
  return mounts.flatMap((mount) => {
    if (mount.type === "bind") return [mount.source];
    return mount.options.flatMap((option) =>
      option.startsWith("upperdir=") ? [option.slice("upperdir=".length)] : [],
    );
  });
}

async function compareLayers(
  parts: DiffParts,
  wanted: {
    lower: readonly Mount[];
    upper: readonly Mount[];
    mediaType: string;
    ref: string;
    labels: Readonly<Record<string, string>>;
  },
): Promise<Descriptor> {
  const mediaType = wanted.mediaType === "" ? `${MEDIA.layer}+gzip` : wanted.mediaType;
  const compressed = /[+.]gzip$/.test(mediaType);
  if (!compressed && !/\.tar$/.test(mediaType)) {
    throw new Failure("unimplemented", `unsupported diff media type: ${mediaType}: not implemented`);
  }
  const ref = wanted.ref === "" ? `diff-${randomBytes(8).toString("hex")}` : wanted.ref;
  const writer = await parts.content.writer(ref, { size: 0, digest: "" });
  try {
    const { archive, done } = parts.unpacker.compare(wanted.lower, wanted.upper);
    // A failure is reported where it is awaited below, after the stream has ended.
    done.catch(() => {});
    const meter = new Meter();
    archive.pipe(meter);
    const blob = new Meter();
    const output = (compressed ? meter.pipe(createGzip()) : meter).pipe(blob);
    for await (const piece of output) await writer.write(piece as Buffer);
    await done;
    const uncompressed = meter.digest();
    const labels = { ...wanted.labels, "containerd.io/uncompressed": uncompressed };
    const descriptor = { mediaType, digest: blob.digest(), size: blob.size };
    await writer.commit({ size: blob.size, digest: descriptor.digest, labels }).catch((thrown) => {
      if (codeOf(thrown) !== "already_exists") throw thrown;
    });
    return descriptor;
  } catch (thrown) {
    await writer.close();
    await parts.content.abort(ref).catch(() => {});
    throw thrown;
  }
}
