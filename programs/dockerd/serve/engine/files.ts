// Routes that read a container's files: export and changes, made by containerd's diff service, which mounts the root in
// a place of its own; copying out, read by containers/archive.ts. Copying in comes in later work and says so.

import { randomBytes } from "node:crypto";
import { encodeUtf8, toBase64 } from "../../../../base/bytes.ts";
import { Failure } from "../../../../base/errors.ts";
import type { Mount } from "../../../../core/values.ts";
import { archiveOf, findSource } from "../../containers/archive.ts";
import { changesOf } from "../../containers/changes.ts";
import type { Container } from "../../containers/container.ts";
import { emitContainer } from "../../containers/emit.ts";
import type { Engine } from "../../engine.ts";
import { withLease } from "../../images/unpack.ts";
import type { Exchange } from "./exchange.ts";
import type { Router } from "./router.ts";

const TAR_TYPE = "application/vnd.oci.image.layer.v1.tar";

export function addFileRoutes(router: Router, engine: Engine): void {
  router.add("GET /containers/{id}/export", (exchange) => exportRoot(engine, exchange));
  router.add("GET /containers/{id}/changes", (exchange) => changes(engine, exchange));
  router.add("HEAD /containers/{id}/archive", (exchange) => copyOut(engine, exchange));
  router.add("GET /containers/{id}/archive", (exchange) => copyOut(engine, exchange));
  router.add("PUT /containers/{id}/archive", async (exchange) => {
    engine.containers.find(exchange.param("id"));
    throw new Failure("unimplemented", "copying files into containers is not supported yet");
  });
}

async function copyOut(engine: Engine, exchange: Exchange): Promise<void> {
  const container = engine.containers.find(exchange.param("id"));
  const source = await findSource(engine, container, exchange.text("path"));
  const stat = toBase64(encodeUtf8(JSON.stringify(source.stat)));
  const headers = [["X-Docker-Container-Path-Stat", stat]] as const;
  if (exchange.request.method === "HEAD") return exchange.empty(200, headers);
  const writer = await exchange.open(200, "application/x-tar", headers);
  for await (const piece of archiveOf(source)) await writer.write(piece);
  await writer.end();
  emitContainer(engine, container, "archive-path", { path: exchange.text("path") });
}

async function exportRoot(engine: Engine, exchange: Exchange): Promise<void> {
  const container = engine.containers.find(exchange.param("id"));
  const upper = await engine.containerd.snapshots.mounts(container.id);
  await withDiff(engine, { container, lower: [], upper }, async (pieces) => {
    const writer = await exchange.open(200, "application/octet-stream");
    for await (const piece of pieces) await writer.write(piece);
    await writer.end();
  });
  emitContainer(engine, container, "export");
}

async function changes(engine: Engine, exchange: Exchange): Promise<void> {
  const container = engine.containers.find(exchange.param("id"));
  const { snapshots } = engine.containerd;
  const { parent } = await snapshots.stat(container.id);
  const key = `changes-${randomBytes(8).toString("hex")}`;
  const lower = await snapshots.view(key, parent, { "containerd.io/gc.root": new Date().toISOString() });
  try {
    const upper = await snapshots.mounts(container.id);
    await withDiff(engine, { container, lower, upper }, async (pieces) => {
      await exchange.json(200, await changesOf(pieces, lower));
    });
  } finally {
    await snapshots.remove(key).catch(() => {});
  }
}

/** The difference as an archive, while a lease holds its blob; the blob is gone afterwards. */
async function withDiff(
  engine: Engine,
  of: { container: Container; lower: Mount[]; upper: Mount[] },
  body: (pieces: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  await withLease(engine.containerd, async (leased) => {
    const ref = `export-${of.container.id.slice(0, 12)}-${randomBytes(6).toString("hex")}`;
    const blob = await leased.diff.compare(of.lower, of.upper, { mediaType: TAR_TYPE, ref, labels: {} });
    try {
      await body(leased.content.read(blob.digest));
    } finally {
      await leased.content.delete(blob.digest).catch(() => {});
    }
  });
}
