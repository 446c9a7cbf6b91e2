// ctr snapshots: the layers of root filesystems and what stands on them.

import { codeOf, Failure } from "../../../base/errors.ts";
import type { SnapshotInfo, SnapshotStore } from "../../../core/snapshots/snapshots.ts";
import { exactSnapshot } from "../call/exact.ts";
import type { Command } from "../cli/command.ts";
import { sentenceOf } from "../cli/errors.ts";
import { bool, text } from "../cli/flag.ts";
import { binarySize, formatLabels, goTime, labelFields, parseLabels, printedJson } from "../cli/format.ts";
import { type Invocation, print } from "../cli/invocation.ts";
import { formatTable, NARROW } from "../cli/table.ts";
import { SNAPSHOTTER } from "../run/flags.ts";
import { snapshotterOf } from "../run/unpack.ts";
import { DIFF, mountCommands, UNPACK } from "./snapshot-layers.ts";

export const SNAPSHOTS: Command = {
  names: ["snapshots", "snapshot"],
  usage: "manage snapshots",
  flags: [SNAPSHOTTER],
  get commands() {
    return [COMMIT, DIFF, INFO, LIST, MOUNTS, PREPARE, DELETE, LABEL, TREE, UNPACK, USAGE, VIEW];
  },
};

async function storeOf(call: Invocation): Promise<SnapshotStore> {
  const session = await call.session();
  return session.nouns.snapshots(await snapshotterOf(session, call.string("snapshotter")));
}

const COMMIT: Command = {
  names: ["commit"],
  usage: "commit an active snapshot into the provided name",
  argsUsage: "<key> <active>",
  async action(call) {
    if (call.args.length !== 2) {
      call.printHelp();
      return;
    }
    await (await storeOf(call)).commit(call.arg(0), call.arg(1), rootLabel());
  },
};

/** Kept by the collector although nothing refers to it: whoever works with ctr removes it himself. */
function rootLabel(): Record<string, string> {
  return { "containerd.io/gc.root": `${new Date().toISOString().slice(0, 19)}Z` };
}

const INFO: Command = {
  names: ["info"],
  usage: "get info about a snapshot",
  argsUsage: "<key>",
  async action(call) {
    if (call.args.length !== 1) {
      call.printHelp();
      return;
    }
    const session = await call.session();
    const snapshotter = await snapshotterOf(session, call.string("snapshotter"));
    const { info, times } = await exactSnapshot(session, snapshotter, call.arg(0));
    const shown = {
      Kind: kindName(info.kind),
      Name: info.name,
      ...(info.parent === "" ? {} : { Parent: info.parent }),
      ...(Object.keys(info.labels).length === 0 ? {} : { Labels: sorted(info.labels) }),
      Created: goTime(times.createdAt),
      Updated: goTime(times.updatedAt),
    };
    print(printedJson(shown));
  },
};

function sorted(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function kindName(kind: SnapshotInfo["kind"]): string {
  return kind[0]!.toUpperCase() + kind.slice(1);
}

const LIST: Command = {
  names: ["list", "ls"],
  usage: "list snapshots",
  async action(call) {
    const all = await (await storeOf(call)).list([]);
    const rows = all.map(({ name, parent, kind }) => `${name}\t${parent}\t${kindName(kind)}\t\n`);
    print(formatTable(`KEY\tPARENT\tKIND\t\n${rows.join("")}`, NARROW));
  },
};

const MOUNTS: Command = {
  names: ["mounts", "m", "mount"],
  usage: "mount gets mount commands for the snapshots",
  argsUsage: "<target> <key>",
  async action(call) {
    if (call.args.length !== 2) {
      call.printHelp();
      return;
    }
    print(mountCommands(call.arg(0), await (await storeOf(call)).mounts(call.arg(1))));
  },
};

const SHOW_MOUNTS = [
  text("target, t", "mount target path, will print mount, if provided"),
  bool("mounts", "Print out snapshot mounts as JSON"),
];

function making(how: "prepare" | "view", usage: string): Command {
  return {
    names: [how],
    usage,
    argsUsage: "[flags] <key> [<parent>]",
    flags: SHOW_MOUNTS,
    async action(call) {
      if (call.args.length !== 1 && call.args.length !== 2) {
        call.printHelp();
        return;
      }
      const store = await storeOf(call);
      const mounts = await store[how](call.arg(0), call.arg(1), rootLabel());
      const target = call.string("target");
      if (target !== "") print(mountCommands(target, mounts));
      if (call.bool("mounts")) {
        const shown = mounts.map(({ type, source, options }) => ({ Type: type, Source: source, Options: options }));
        print(printedJson(shown));
      }
    },
  };
}

const PREPARE = making("prepare", "prepare a snapshot from a committed snapshot");
const VIEW = making("view", "create a read-only snapshot from a committed snapshot");

const DELETE: Command = {
  names: ["delete", "del", "remove", "rm"],
  usage: "remove snapshots",
  argsUsage: "<key> [<key>, ...]",
  async action(call) {
    const store = await storeOf(call);
    for (const key of call.args) {
      try {
        await store.remove(key);
      } catch (thrown) {
        throw new Failure(codeOf(thrown), `failed to remove "${key}": ${sentenceOf(thrown)}`);
      }
    }
  },
};

const LABEL: Command = {
  names: ["label"],
  usage: "add labels to content",
  argsUsage: "<name> [<label>=<value> ...]",
  description: "labels snapshots in the snapshotter",
  async action(call) {
    const labels = parseLabels(call.args.slice(1));
    const updated = await (await storeOf(call)).update({ name: call.arg(0), labels }, labelFields(labels));
    const shown = formatLabels(updated.labels);
    if (shown !== "") print(`${shown}\n`);
  },
};

const TREE: Command = {
  names: ["tree"],
  usage: "display tree view of snapshot branches",
  async action(call) {
    const children = new Map<string, string[]>();
    for (const { name, parent } of await (await storeOf(call)).list([])) {
      children.set(parent, [...(children.get(parent) ?? []), name]);
    }
    print(branch(children, "", 0));
  },
};

function branch(children: ReadonlyMap<string, string[]>, parent: string, depth: number): string {
  const names = [...(children.get(parent) ?? [])].sort();
  return names
    .map((name) => {
      const mark = "  ".repeat(depth) + (depth > 0 ? "\\_" : "");
      return `${mark} ${name}\n${branch(children, name, depth + 1)}`;
    })
    .join("");
}

const USAGE: Command = {
  names: ["usage"],
  usage: "usage snapshots",
  argsUsage: "[flags] [<key>, ...]",
  flags: [bool("b", "display size in bytes")],
  async action(call) {
    const store = await storeOf(call);
    const keys = call.args.length > 0 ? call.args : (await store.list([])).map(({ name }) => name);
    const rows: string[] = [];
    for (const key of keys) {
      const { size, inodes } = await store.usage(key);
      rows.push(`${key}\t${call.bool("b") ? size : binarySize(size)}\t${inodes}\t\n`);
    }
    print(formatTable(`KEY\tSIZE\tINODES\t\n${rows.join("")}`, NARROW));
  },
};
