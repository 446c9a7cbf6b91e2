// ctr content: the blobs that images are made of.

import { codeOf } from "../../../base/errors.ts";
import { humanDuration } from "../../../base/human.ts";
import type { Command } from "../cli/command.ts";
import { sentenceOf } from "../cli/errors.ts";
import { bool, duration, text, uint } from "../cli/flag.ts";
import { checkDigest, decimalSize, formatLabels, labelFields, parseLabels } from "../cli/format.ts";
import { print } from "../cli/invocation.ts";
import { log } from "../cli/log.ts";
import { formatTable, TABBED } from "../cli/table.ts";

const ACTIVE: Command = {
  names: ["active"],
  usage: "display active transfers",
  argsUsage: "[flags] [<regexp>]",
  description: "display the ongoing transfers",
  flags: [
    duration("timeout, t", "total timeout for fetch", { env: "CONTAINERD_FETCH_TIMEOUT" }),
    text("root", "path to content store root", { initial: "/tmp/content" }),
  ],
  async action(call) {
    const { nouns } = await call.session();
    const filters = call.arg(0) === "" ? [] : [`ref~="${call.arg(0)}"`];
    const rows = (await nouns.content.statuses(filters)).map(({ ref, offset, startedAt }) => {
      return `${ref}\t${decimalSize(offset)}\t${humanDuration(Date.now() - startedAt)}\t\n`;
    });
    print(formatTable(`REF\tSIZE\tAGE\t\n${rows.join("")}`, TABBED));
  },
};

const LIST: Command = {
  names: ["list", "ls"],
  usage: "list all blobs in the store",
  argsUsage: "[flags]",
  description: "list blobs in the content store",
  flags: [bool("quiet, q", "print only the blob digest")],
  async action(call) {
    const { nouns } = await call.session();
    const all = await nouns.content.list(call.args);
    if (call.bool("quiet")) {
      print(all.map(({ digest }) => `${digest}\n`).join(""));
      return;
    }
    const rows = all.map(({ digest, size, createdAt, labels }) => {
      const age = humanDuration(Date.now() - createdAt);
      return `${digest}\t${decimalSize(size)}\t${age}\t${formatLabels(labels) || "-"}\n`;
    });
    print(formatTable(`DIGEST\tSIZE\tAGE\tLABELS\n${rows.join("")}`, TABBED));
  },
};

const GET: Command = {
  names: ["get"],
  usage: "get the data for an object",
  argsUsage: "[<digest>, ...]",
  description: "display the image object",
  async action(call) {
    const digest = checkDigest(call.arg(0));
    const { nouns } = await call.session();
    for await (const piece of nouns.content.read(digest)) {
      if (!process.stdout.write(piece)) await new Promise((resolve) => process.stdout.once("drain", resolve));
    }
  },
};

const INGEST: Command = {
  names: ["ingest"],
  usage: "accept content into the store",
  argsUsage: "[flags] <key>",
  description: "ingest objects into the local content store",
  flags: [
    uint("expected-size", "validate against provided size"),
    text("expected-digest", "verify content against expected digest"),
  ],
  async action(call) {
    const expected = call.string("expected-digest");
    if (expected !== "") checkDigest(expected);
    const { nouns } = await call.session();
    const size = call.number("expected-size");
    const writer = await nouns.content.writer(call.arg(0), { size, digest: expected });
    try {
      for await (const piece of process.stdin) await writer.write(piece as Uint8Array);
      await writer.commit({ size, digest: expected, labels: {} });
    } finally {
      await writer.close();
    }
  },
};

const DELETE: Command = {
  names: ["delete", "del", "remove", "rm"],
  usage: "permanently delete one or more blobs",
  argsUsage: "[<digest>, ...]",
  description: "Delete one or more blobs permanently. Successfully deleted\n  blobs are printed to stdout.",
  async action(call) {
    const { nouns } = await call.session();
    const failures: unknown[] = [];
    for (const digest of call.args) {
      try {
        await nouns.content.delete(checkDigest(digest));
        print(`${digest}\n`);
      } catch (thrown) {
        if (codeOf(thrown) === "not_found") continue;
        failures.push(thrown);
        log("error", `could not delete ${digest}`, sentenceOf(thrown));
      }
    }
    if (failures.length > 0) throw failures[0];
  },
};

const LABEL: Command = {
  names: ["label"],
  usage: "add labels to content",
  argsUsage: "<digest> [<label>=<value> ...]",
  description: "labels blobs in the content store",
  async action(call) {
    const digest = checkDigest(call.arg(0));
    const { nouns } = await call.session();
    const labels = parseLabels(call.args.slice(1));
    const updated = await nouns.content.update({ digest, labels }, labelFields(labels));
    print(`${formatLabels(updated.labels)}\n`);
  },
};

export const CONTENT: Command = {
  names: ["content"],
  usage: "manage content",
  commands: [ACTIVE, DELETE, GET, INGEST, LIST, LABEL],
};
