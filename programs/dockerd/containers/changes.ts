// `docker diff` from a layer archive: what it adds, changes and deletes against the image below it.

import { Readable } from "node:stream";
import { extract } from "tar-stream";
import type { FilesystemChange } from "../../../api/engine/container.ts";
import { lookUp, type Root, rootOfMounts } from "../../../core/rootfs/walk.ts";
import type { Mount } from "../../../core/values.ts";

const WHITEOUT = ".wh.";
const MODIFIED = 0;
const ADDED = 1;
const DELETED = 2;

export async function changesOf(
  pieces: AsyncIterable<Uint8Array>,
  lower: readonly Mount[],
): Promise<FilesystemChange[]> {
  const below: Root = rootOfMounts(lower) ?? { layers: [] };
  const parser = extract();
  Readable.from(pieces)
    .on("error", (error) => parser.destroy(error))
    .pipe(parser);
  const changes: FilesystemChange[] = [];
  for await (const entry of parser) {
    entry.resume();
    const path = `/${entry.header.name.replace(/^\.?\/+/, "").replace(/\/+$/, "")}`;
    if (path === "/") continue;
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (name === `${WHITEOUT}${WHITEOUT}.opq`) continue;
    if (name.startsWith(WHITEOUT)) {
      changes.push({ Path: path.slice(0, -name.length) + name.slice(WHITEOUT.length), Kind: DELETED });
    } else changes.push({ Path: path, Kind: lookUp(below, path) === null ? ADDED : MODIFIED });
  }
  return changes.toSorted((a, b) => (a.Path < b.Path ? -1 : 1));
}
