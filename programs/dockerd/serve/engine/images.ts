// Routes of images.

import { Failure, messageOf } from "../../../../base/errors.ts";
import type { BodyReader } from "../../../../wire/http/body.ts";
import type { Engine } from "../../engine.ts";
import { deleteImage, pruneImages, tagImage } from "../../images/change.ts";
import { importImage } from "../../images/import.ts";
import { imageHistory, inspectImage } from "../../images/inspect.ts";
import { IMAGE_FILTERS, listImages } from "../../images/list.ts";
import { loadImages } from "../../images/load.ts";
import { familiarName, parseTagged, storeName } from "../../images/reference.ts";
import { saveImages } from "../../images/save.ts";
import type { Exchange } from "./exchange.ts";
import { Filters } from "./filters.ts";
import type { Router } from "./router.ts";

export function addImageRoutes(router: Router, engine: Engine): void {
  router.add("GET /images/json", async (exchange) => {
    const filters = Filters.parse(exchange.text("filters"), IMAGE_FILTERS);
    const [all, manifests, sharedSize] = [
      exchange.flag("all"),
      exchange.flag("manifests"),
      exchange.flag("shared-size"),
    ];
    await exchange.json(200, await listImages(engine, { all, filters, manifests, sharedSize }));
  });
  router.add("GET /images/search", () => later("searching a registry"));
  router.add("GET /images/get", (exchange) => save(engine, exchange, exchange.texts("names")));
  router.add("GET /images/{name*}/get", (exchange) => save(engine, exchange, [exchange.param("name")]));
  router.add("GET /images/{name*}/json", async (exchange) => {
    const found = await engine.images.find(exchange.param("name"));
    await exchange.json(200, await inspectImage(engine, found, exchange.flag("manifests")));
  });
  router.add("GET /images/{name*}/history", async (exchange) => {
    await exchange.json(200, await imageHistory(engine, await engine.images.find(exchange.param("name"))));
  });
  router.add("POST /images/{name*}/tag", async (exchange) => {
    await tagImage(engine, exchange.param("name"), exchange.text("repo"), exchange.text("tag"));
    await exchange.empty(201);
  });
  router.add("POST /images/{name*}/push", async (exchange) => {
    await engine.images.find(exchange.param("name"));
    await later("pushing to a registry");
  });
  router.add("POST /images/load", (exchange) => load(engine, exchange));
  router.add("POST /images/create", (exchange) => createImage(engine, exchange));
  router.add("POST /images/prune", async (exchange) => {
    const filters = Filters.parse(exchange.text("filters"), ["dangling", "label", "label!", "until"]);
    const { items, bytes } = await pruneImages(engine, filters);
    await exchange.json(200, { ImagesDeleted: items.length === 0 ? null : items, SpaceReclaimed: bytes });
  });
  router.add("DELETE /images/{name*}", async (exchange) => {
    await exchange.json(200, await deleteImage(engine, exchange.param("name"), { force: exchange.flag("force") }));
  });
  router.add("POST /build", () => later("building images"));
  router.add("POST /build/prune", (exchange) => exchange.json(200, { CachesDeleted: null, SpaceReclaimed: 0 }));
  router.add("POST /commit", () => later("committing a container to an image"));
  router.add("GET /distribution/{name*}/json", () => later("asking a registry"));
}

async function later(what: string): Promise<never> {
  throw new Failure("unimplemented", `${what} is not supported yet`);
}

async function* piecesOf(body: BodyReader): AsyncGenerator<Uint8Array> {
  for (let piece = await body.read(); piece !== null; piece = await body.read()) yield piece;
}

async function load(engine: Engine, exchange: Exchange): Promise<void> {
  const progress = exchange.progress();
  await loadImages(engine, piecesOf(exchange.request.body), async ({ name, target }) => {
    const words = name === null ? `Loaded image ID: ${target.digest}` : `Loaded image: ${familiarName(name)}`;
    await progress.send({ stream: `${words}\n` });
  });
  await progress.end();
}

async function createImage(engine: Engine, exchange: Exchange): Promise<void> {
  const source = exchange.text("fromSrc");
  if (source !== "") {
    if (source !== "-")
      throw new Failure("unimplemented", "importing from a URL is not supported; download it and use -");
    const digest = await importImage(engine, {
      body: piecesOf(exchange.request.body),
      repository: exchange.text("repo"),
      tag: exchange.text("tag"),
      message: exchange.text("message"),
      changes: exchange.texts("changes"),
    });
    const progress = exchange.progress();
    await progress.send({ status: digest });
    return progress.end();
  }
  const name = exchange.text("fromImage");
  const tag = exchange.text("tag");
  const joined = tag === "" ? name : `${name}${tag.startsWith("sha256:") ? "@" : ":"}${tag}`;
  const wanted = familiarName(storeName(parseTagged(joined)));
  throw new Failure(
    "not_found",
    `cannot pull ${wanted}: pulling from a registry is not supported yet; use docker load or docker import`,
  );
}

async function save(engine: Engine, exchange: Exchange, names: readonly string[]): Promise<void> {
  if (names.length === 0) throw new Failure("invalid_argument", "no image names given");
  const archive = await saveImages(engine, names);
  const writer = await exchange.open(200, "application/x-tar");
  try {
    for await (const piece of archive) await writer.write(piece);
  } catch (thrown) {
    // Cut off without an end, so that the client sees the archive is broken.
    engine.log.error(`saving ${names.join(" ")}: ${messageOf(thrown)}`);
    throw thrown;
  }
  await writer.end();
}
