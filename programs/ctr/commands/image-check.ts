// ctr images check: whether all of an image is there and unpacked.

import type { Image } from "../../../core/images/images.ts";
import type { Descriptor } from "../../../core/values.ts";
import type { Session } from "../call/session.ts";
import type { Command } from "../cli/command.ts";
import { sentenceOf } from "../cli/errors.ts";
import { bool } from "../cli/flag.ts";
import { binarySize } from "../cli/format.ts";
import { print } from "../cli/invocation.ts";
import { log } from "../cli/log.ts";
import { formatTable, NARROW } from "../cli/table.ts";
import { SNAPSHOTTER } from "../run/flags.ts";

export const CHECK: Command = {
  names: ["check"],
  usage: "check existing images to ensure all content is available locally",
  argsUsage: "[flags] [<filter>, ...]",
  description: "check existing images to ensure all content is available locally",
  flags: [bool("quiet, q", "print only the ready image refs (fully downloaded and unpacked)"), SNAPSHOTTER],
  async action(call) {
    const session = await call.session();
    const { snapshotterOf } = await import("../run/unpack.ts");
    const snapshotter = await snapshotterOf(session, call.string("snapshotter"));
    const rows: string[] = [];
    for (const image of await session.nouns.images.list(call.args)) {
      const state = await checkImage(session, image, snapshotter);
      if (!call.bool("quiet")) rows.push(state.row);
      else if (state.ready) rows.push(`${image.name}\n`);
    }
    const head = "REF\tTYPE\tDIGEST\tSTATUS\tSIZE\tUNPACKED\t\n";
    print(call.bool("quiet") ? rows.join("") : formatTable(head + rows.join(""), NARROW));
  },
};

interface ImageState {
  row: string;
  ready: boolean;
}

async function checkImage(session: Session, image: Image, snapshotter: string): Promise<ImageState> {
  const { requiredBlobs } = await import("../run/image-facts.ts");
  let [status, size, unpacked, complete] = ["unavailable (0/?)", "0.0 B/0.0 B", false, false];
  try {
    const { missing, blobs } = await presence(session, await requiredBlobs(session.nouns.content, image.target));
    const sum = (of: readonly Descriptor[]) => of.reduce((bytes, blob) => bytes + blob.size, 0);
    const there = blobs.length - missing.length;
    complete = missing.length === 0;
    status = `${complete ? "complete" : "incomplete"} (${there}/${blobs.length})`;
    size = `${binarySize(sum(blobs) - sum(missing))}/${binarySize(sum(blobs))}`;
    unpacked = complete && (await isUnpacked(session, image, snapshotter));
  } catch (thrown) {
    log("error", `failed to check ${image.name}`, sentenceOf(thrown));
  }
  const { mediaType, digest } = image.target;
  const row = `${image.name}\t${mediaType}\t${digest}\t${status}\t${size}\t${unpacked}\n`;
  return { row, ready: complete && unpacked };
}

/** The original counts what the manifest leads to, without the manifest. */
async function presence(
  session: Session,
  all: readonly Descriptor[],
): Promise<{ blobs: Descriptor[]; missing: Descriptor[] }> {
  const blobs = all.slice(all.findIndex(({ mediaType }) => mediaType.includes("manifest.v")) + 1);
  const there = new Set((await session.nouns.content.list([])).map(({ digest }) => digest));
  return { blobs, missing: blobs.filter(({ digest }) => !there.has(digest)) };
}

async function isUnpacked(session: Session, image: Image, snapshotter: string): Promise<boolean> {
  const manifest = await import("../../../core/images/manifest.ts");
  const { content } = session.nouns;
  const found = await manifest.resolveManifest(content, image.target, manifest.hostPlatform());
  const config = await manifest.readConfig(content, found.manifest);
  const chain = manifest.chainIds(config.rootfs.diff_ids);
  try {
    await session.nouns.snapshots(snapshotter).stat(chain.at(-1) ?? "");
    return true;
  } catch {
    return false;
  }
}
