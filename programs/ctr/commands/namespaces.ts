// ctr namespaces: the walls between users of one containerd.

import { codeOf, Failure } from "../../../base/errors.ts";
import type { Command } from "../cli/command.ts";
import { sentenceOf } from "../cli/errors.ts";
import { bool } from "../cli/flag.ts";
import { formatLabels, labelFields, parseLabels } from "../cli/format.ts";
import { type Invocation, print } from "../cli/invocation.ts";
import { log } from "../cli/log.ts";
import { formatTable, NARROW } from "../cli/table.ts";

function nameOf(call: Invocation): string {
  if (call.arg(0) === "") throw new Failure("invalid_argument", "please specify a namespace");
  return call.arg(0);
}

const CREATE: Command = {
  names: ["create", "c"],
  usage: "create a new namespace",
  argsUsage: "<name> [<key>=<value>]",
  description: "create a new namespace. it must be unique",
  async action(call) {
    const name = nameOf(call);
    const { containerd } = await call.session();
    await containerd.namespaces.create({ name, labels: parseLabels(call.args.slice(1)) });
  },
};

const LIST: Command = {
  names: ["list", "ls"],
  usage: "list namespaces",
  argsUsage: "[flags]",
  description: "list namespaces",
  flags: [bool("quiet, q", "print only the namespace name")],
  async action(call) {
    const { containerd } = await call.session();
    const all = await containerd.namespaces.list("");
    if (call.bool("quiet")) {
      print(all.map(({ name }) => `${name}\n`).join(""));
      return;
    }
    const rows = all.map(({ name, labels }) => `${name}\t${formatLabels(labels)}\t\n`);
    print(formatTable(`NAME\tLABELS\t\n${rows.join("")}`, NARROW));
  },
};

const REMOVE: Command = {
  names: ["remove", "rm"],
  usage: "remove one or more namespaces",
  argsUsage: "<name> [<name>, ...]",
  description: "remove one or more namespaces. for now, the namespace must be empty",
  flags: [bool("cgroup, c", "delete the namespace's cgroup")],
  async action(call) {
    const { containerd } = await call.session();
    const failures: unknown[] = [];
    for (const name of call.args) {
      try {
        await containerd.namespaces.delete(name);
      } catch (thrown) {
        if (codeOf(thrown) !== "not_found") {
          failures.push(new Failure(codeOf(thrown), `unable to delete ${name}: ${sentenceOf(thrown)}`));
          log("error", `unable to delete ${name}`, sentenceOf(thrown));
          continue;
        }
      }
      print(`${name}\n`);
    }
    if (failures.length > 0) throw failures[0];
  },
};

const LABEL: Command = {
  names: ["label"],
  usage: "set and clear labels for a namespace",
  argsUsage: "<name> [<key>=<value>, ...]",
  description: "set and clear labels for a namespace. empty value clears the label",
  async action(call) {
    const name = nameOf(call);
    const { containerd } = await call.session();
    const labels = parseLabels(call.args.slice(1));
    for (const field of labelFields(labels)) await containerd.namespaces.update({ name, labels }, [field]);
  },
};

export const NAMESPACES: Command = {
  names: ["namespaces", "namespace", "ns"],
  usage: "manage namespaces",
  commands: [CREATE, LIST, REMOVE, LABEL],
};
