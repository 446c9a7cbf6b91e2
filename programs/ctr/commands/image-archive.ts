// ctr images import and export: images as one tar stream.

import { createReadStream, openSync } from "node:fs";
import type { Readable } from "node:stream";
import { Failure } from "../../../base/errors.ts";
import type { Command } from "../cli/command.ts";
import { systemFailure } from "../cli/errors.ts";
import { bool, list, text } from "../cli/flag.ts";
import { parseLabels } from "../cli/format.ts";
import { type Invocation, print } from "../cli/invocation.ts";
import { SNAPSHOTTER } from "../run/flags.ts";

const IMPORT_TEXT = `Import images from a tar stream.
Implemented formats:
- oci.v1
- docker.v1.1
- docker.v1.2


For OCI v1, you may need to specify --base-name because an OCI archive may
contain only partial image references (tags without the base image name).
If no base image name is provided, a name will be generated as "import-%{yyyy-MM-dd}".

e.g.
  $ ctr images import --base-name foo/bar foobar.tar

If foobar.tar contains an OCI ref named "latest" and anonymous ref "sha256:deadbeef", the command will create
"foo/bar:latest" and "foo/bar@sha256:deadbeef" images in the containerd store.
`;

export const IMPORT: Command = {
  names: ["import"],
  usage: "import images",
  argsUsage: "[flags] <in>",
  description: IMPORT_TEXT,
  flags: [
    text("base-name", "base image name for added images, when provided only images with this name prefix are imported"),
    bool("digests", "whether to create digest images (default: false)"),
    bool(
      "skip-digest-for-named",
      "skip applying --digests option to images named in the importing tar (use it in conjunction with --digests)",
    ),
    text("index-name", "image name to keep index as, by default index is discarded"),
    bool("all-platforms", "imports content for all platforms, false by default"),
    text("platform", "imports content for specific platform"),
    bool("no-unpack", "skip unpacking the images, false by default"),
    bool("compress-blobs", "compress uncompressed blobs when creating manifest (Docker format only)"),
    list("label", "labels to attach to the image"),
    SNAPSHOTTER,
  ],
  async action(call) {
    refuse(call, ["compress-blobs"]);
    const archive = openArchive(call.arg(0));
    const session = await call.session();
    const { importArchive } = await import("../../../core/archive/import.ts");
    const base = call.string("base-name") || `import-${new Date().toISOString().slice(0, 10)}`;
    const nouns = (lease: string | null) => {
      return session.containerd.scoped({ namespace: session.namespace, lease, acknowledged: true });
    };
    const images = await importArchive(nouns, archive, {
      translate: (reference) => translateName(reference, base, call.isSet("base-name")),
      digestName: call.bool("digests") ? (digest) => `${base}@${digest}` : null,
      skipDigestForNamed: call.bool("skip-digest-for-named"),
      indexName: call.string("index-name"),
      labels: parseLabels(call.list("label")),
    });
    if (call.bool("no-unpack")) return;
    const { unpackImage } = await import("../run/unpack.ts");
    for (const image of images) {
      print(`unpacking ${image.name} (${image.target.digest})...`);
      await unpackImage(session, image, call.string("snapshotter"));
      print("done\n");
    }
  },
};

/** A mere tag gets the base name; with --base-name given, names that do not begin with it are left out. */
function translateName(reference: string, base: string, only: boolean): string | null {
  if (/[/:@]/.test(reference)) return only && !reference.startsWith(base) ? null : reference;
  return `${base}:${reference}`;
}

function openArchive(path: string): Readable {
  if (path === "-") return process.stdin;
  try {
    return createReadStream("", { fd: openSync(path, "r") });
  } catch (thrown) {
    throw systemFailure("open", path, thrown);
  }
}

const EXPORT_TEXT = `Export images to an OCI tar archive.

Tar output is formatted as an OCI archive, a Docker manifest is provided for the platform.
Use '--skip-manifest-json' to avoid including the Docker manifest.json file.
Use '--platform' to define the output platform.
When '--all-platforms' is given all images in a manifest list must be available.
`;

export const EXPORT: Command = {
  names: ["export"],
  usage: "export images",
  argsUsage: "[flags] <out> <image> ...",
  description: EXPORT_TEXT,
  flags: [
    bool("skip-manifest-json", "do not add Docker compatible manifest.json to archive"),
    bool("skip-non-distributable", "do not add non-distributable blobs such as Windows layers to archive"),
    list("platform", "Pull content from a specific platform"),
    bool("all-platforms", "exports content from all platforms"),
  ],
  async action(call) {
    const [out, ...names] = call.args;
    if (out === undefined || out === "" || names.length === 0) {
      const text = "please provide both an output filename and an image reference to export";
      throw new Failure("invalid_argument", text);
    }
    refuse(call, ["platform", "all-platforms"]);
    const session = await call.session();
    const { exportImages } = await import("../run/export.ts");
    const images = [];
    for (const name of names) images.push(await session.nouns.images.get(name));
    const options = { manifestJson: !call.bool("skip-manifest-json") };
    await exportImages(session.nouns.content, images, { ...options, path: out });
  },
};

/** A flag that changes the outcome and is not carried out is refused, never ignored. */
function refuse(call: Invocation, flags: readonly string[]): void {
  for (const flag of flags) {
    if (call.isSet(flag)) throw new Failure("unimplemented", `--${flag} is not implemented`);
  }
}
