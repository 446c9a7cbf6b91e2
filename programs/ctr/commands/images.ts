// ctr images: names and what they lead to.

import { codeOf, Failure } from "../../../base/errors.ts";
import type { ContentStore } from "../../../core/content/content.ts";
import type { Image } from "../../../core/images/images.ts";
import type { Command } from "../cli/command.ts";
import { sentenceOf } from "../cli/errors.ts";
import { bool } from "../cli/flag.ts";
import { binarySize, formatLabels, labelFields, parseLabels } from "../cli/format.ts";
import { print } from "../cli/invocation.ts";
import { log } from "../cli/log.ts";
import { formatTable, NARROW } from "../cli/table.ts";
import { EXPORT, IMPORT } from "./image-archive.ts";
import { CHECK } from "./image-check.ts";

const LIST: Command = {
  names: ["list", "ls"],
  usage: "list images known to containerd",
  argsUsage: "[flags] [<filter>, ...]",
  description: "list images registered with containerd",
  flags: [bool("quiet, q", "print only the image refs")],
  async action(call) {
    const { nouns } = await call.session();
    const all = await nouns.images.list(call.args);
    if (call.bool("quiet")) {
      print(all.map(({ name }) => `${name}\n`).join(""));
      return;
    }
    const rows: string[] = [];
    for (const image of all) rows.push(await imageRow(image, nouns.content));
    print(formatTable(`REF\tTYPE\tDIGEST\tSIZE\tPLATFORMS\tLABELS\t\n${rows.join("")}`, NARROW));
  },
};

async function imageRow(image: Image, content: ContentStore): Promise<string> {
  const { imagePlatforms, imageSize } = await import("../run/image-facts.ts");
  let size = "0.0 B";
  try {
    size = binarySize(await imageSize(content, image.target));
  } catch (thrown) {
    log("error", `failed calculating size for image ${image.name}`, sentenceOf(thrown));
  }
  let platforms = "-";
  try {
    platforms = (await imagePlatforms(content, image.target)).join(",") || "-";
  } catch (thrown) {
    log("error", `failed to resolve platform for image ${image.name}`, sentenceOf(thrown));
  }
  const { mediaType, digest } = image.target;
  return `${image.name}\t${mediaType}\t${digest}\t${size}\t${platforms}\t${formatLabels(image.labels) || "-"}\t\n`;
}

const DELETE: Command = {
  names: ["delete", "del", "remove", "rm"],
  usage: "remove one or more images by reference",
  argsUsage: "[flags] <ref> [<ref>, ...]",
  description: "remove one or more images by reference",
  flags: [bool("sync", "Synchronously remove image and all associated resources")],
  async action(call) {
    const { nouns } = await call.session();
    const failures: Failure[] = [];
    for (const [index, name] of call.args.entries()) {
      try {
        await nouns.images.delete(name, { sync: call.bool("sync") && index === call.args.length - 1 });
        print(`${name}\n`);
      } catch (thrown) {
        if (codeOf(thrown) === "not_found") log("warning", `${name}: image not found`);
        else {
          failures.push(new Failure(codeOf(thrown), `unable to delete ${name}: ${sentenceOf(thrown)}`));
          log("error", `unable to delete ${name}`, sentenceOf(thrown));
        }
      }
    }
    if (failures.length > 0) throw failures[0];
  },
};

const TAG: Command = {
  names: ["tag"],
  usage: "tag an image",
  argsUsage: "[flags] <source_ref> <target_ref> [<target_ref>, ...]",
  description: "Tag an image for use in containerd.",
  flags: [bool("force", "force target_ref to be created, regardless if it already exists")],
  async action(call) {
    if (call.arg(0) === "") throw new Failure("invalid_argument", "please provide an image reference to tag from");
    if (call.arg(1) === "") throw new Failure("invalid_argument", "please provide an image reference to tag to");
    const { nouns } = await call.session();
    const { target, labels } = await nouns.images.get(call.arg(0));
    for (const name of call.args.slice(1)) {
      try {
        await nouns.images.create({ name, target, labels });
      } catch (thrown) {
        if (!call.bool("force") || codeOf(thrown) !== "already_exists") throw thrown;
        await nouns.images.update({ name, target, labels }, null);
      }
      print(`${name}\n`);
    }
  },
};

const LABEL: Command = {
  names: ["label"],
  usage: "set and clear labels for an image",
  argsUsage: "[flags] <name> [<key>=<value>, ...]",
  description: "set and clear labels for an image",
  flags: [bool("replace-all, r", "replace all labels")],
  async action(call) {
    const name = call.arg(0);
    if (name === "") throw new Failure("invalid_argument", "please specify an image");
    const labels = parseLabels(call.args.slice(1));
    const { nouns } = await call.session();
    const target = { mediaType: "", digest: "", size: 0 };
    const fields = call.bool("replace-all") ? ["labels"] : labelFields(labels);
    const updated = await nouns.images.update({ name, target, labels }, fields);
    print(`${formatLabels(updated.labels)}\n`);
  },
};

/** Of commands that reach a registry: there is no client of registries in this program yet, and it says so. */
function withoutRegistry(name: string, usage: string, argsUsage: string): Command {
  return {
    names: [name],
    usage,
    argsUsage,
    async action() {
      throw new Failure("unimplemented", `images ${name}: this ctr cannot reach registries yet; import an archive`);
    },
  };
}

export const IMAGES: Command = {
  names: ["images", "image", "i"],
  usage: "manage images",
  commands: [
    CHECK,
    EXPORT,
    IMPORT,
    LIST,
    withoutRegistry("pull", "pull an image from a remote", "[flags] <ref>"),
    withoutRegistry("push", "push an image to a remote", "[flags] <remote> [<local>]"),
    DELETE,
    TAG,
    LABEL,
  ],
};
