// ctr snapshots diff and unpack: between snapshots and the archives they are made of.

import { Failure } from "../../../base/errors.ts";
import type { Descriptor, Mount } from "../../../core/values.ts";
import type { Session } from "../call/session.ts";
import type { Command } from "../cli/command.ts";
import { bool, list, text } from "../cli/flag.ts";
import { checkDigest, parseLabels } from "../cli/format.ts";
import { SNAPSHOTTER } from "../run/flags.ts";

/** How a shell would make these mounts at the target. */
export function mountCommands(target: string, mounts: readonly Mount[]): string {
  return mounts
    .map(({ type, source, options }) => {
      const how = options.length > 0 ? ` -o ${options.join(",")}` : "";
      return `mount -t ${type} ${source} ${target}${how}\n`;
    })
    .join("");
}

const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip";

export const DIFF: Command = {
  names: ["diff"],
  usage: "get the diff of two snapshots. the default second snapshot is the first snapshot's parent.",
  argsUsage: "[flags] <idA> [<idB>]",
  flags: [
    text("media-type", "media type to use for creating diff", { initial: LAYER_TYPE }),
    text("ref", "content upload reference to use"),
    bool("keep", "keep diff content. up to creator to delete it."),
    list("label", "labels to attach to the image"),
  ],
  async action(call) {
    if (call.arg(0) === "") throw new Failure("invalid_argument", "snapshot id must be provided");
    const session = await call.session();
    const labels = parseLabels(call.list("label"));
    if (call.bool("keep")) labels["containerd.io/gc.root"] = `${new Date().toISOString().slice(0, 19)}Z`;
    const options = { mediaType: call.string("media-type"), ref: call.string("ref"), labels };
    const [upper, lower] = [call.arg(0), call.arg(1)];
    const { snapshotterOf } = await import("../run/unpack.ts");
    const snapshotter = await snapshotterOf(session, call.string("snapshotter"));
    await session.leased(async (nouns) => {
      const store = nouns.snapshots(snapshotter);
      const views: string[] = [];
      const mountsOf = async (key: string): Promise<Mount[]> => {
        const { kind } = await store.stat(key);
        if (kind !== "committed") return store.mounts(key);
        const view = `${key}-view-${process.pid}-${views.length}`;
        views.push(view);
        return store.view(view, key, {});
      };
      try {
        const right = await mountsOf(upper);
        const parent = lower === "" ? (await store.stat(upper)).parent : lower;
        const left = parent === "" ? [] : await mountsOf(parent);
        const diff = await nouns.diff.compare(left, right, options);
        await writeBlob(session, diff);
      } finally {
        for (const view of views) await store.remove(view).catch(() => {});
      }
    });
  },
};

async function writeBlob(session: Session, { digest }: Descriptor): Promise<void> {
  for await (const piece of session.nouns.content.read(digest)) {
    await new Promise<void>((resolve) => process.stdout.write(piece, () => resolve()));
  }
}

export const UNPACK: Command = {
  names: ["unpack"],
  usage: "unpack applies layers from a manifest to a snapshot",
  argsUsage: "[flags] <digest>",
  flags: [SNAPSHOTTER],
  async action(call) {
    const digest = checkDigest(call.arg(0));
    const session = await call.session();
    const images = await session.nouns.images.list([`target.digest==${digest}`]);
    const image = images.find(({ target }) => target.digest === digest);
    if (image === undefined) throw new Failure("not_found", "manifest not found");
    const { unpackImage } = await import("../run/unpack.ts");
    const { chainId } = await unpackImage(session, image, call.string("snapshotter"));
    process.stdout.write(`unpacking ${image.name} (${digest})...done\n${chainId}\n`);
  },
};
