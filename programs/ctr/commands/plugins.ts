// ctr plugins: what containerd is made of, and which of it did not start.

import type { Plugin } from "../../../api/containerd/gen/introspection.ts";
import type { Command } from "../cli/command.ts";
import { bool } from "../cli/flag.ts";
import { print } from "../cli/invocation.ts";
import { formatTable, WIDE } from "../cli/table.ts";

const CODES = [
  "OK",
  "Canceled",
  "Unknown",
  "InvalidArgument",
  "DeadlineExceeded",
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "ResourceExhausted",
  "FailedPrecondition",
  "Aborted",
  "OutOfRange",
  "Unimplemented",
  "Internal",
  "Unavailable",
  "DataLoss",
  "Unauthenticated",
];

const LIST: Command = {
  names: ["list", "ls"],
  usage: "lists containerd plugins",
  flags: [
    bool("quiet, q", "print only the plugin ids"),
    bool("detailed, d", "print detailed information about each plugin"),
  ],
  async action(call) {
    const { containerd } = await call.session();
    const plugins = await containerd.plugins(call.args);
    if (call.bool("quiet")) print(plugins.map(({ id }) => `${id}\n`).join(""));
    else if (call.bool("detailed")) print(formatTable(plugins.map(details).join(""), WIDE));
    else print(formatTable(`TYPE\tID\tPLATFORMS\tSTATUS\t\n${plugins.map(row).join("")}`, WIDE));
  },
};

function row(plugin: Plugin): string {
  return `${plugin.type}\t${plugin.id}\t${platforms(plugin) || "-"}\t${status(plugin)}\t\n`;
}

function status({ initErr }: Plugin): string {
  if (initErr === null) return "ok";
  return initErr.message.includes("skip plugin") ? "skip" : "error";
}

function platforms(plugin: Plugin): string {
  const names = plugin.platforms.map(({ os, architecture, variant }) => {
    return [os, architecture, variant].filter((part) => part !== "").join("/");
  });
  return names.join(",");
}

/** The original prints each value behind a blank, and a line of empty cells after each plugin. */
function details(plugin: Plugin): string {
  const lines = [`Type:\t ${plugin.type}`, `ID:\t ${plugin.id}`];
  if (plugin.requires.length > 0) {
    lines.push("Requires:\t", ...plugin.requires.map((name) => `\t ${name}`));
  }
  if (plugin.platforms.length > 0) lines.push(`Platforms:\t ${platforms(plugin)}`);
  const exported = Object.entries(plugin.exports);
  if (exported.length > 0) {
    lines.push("Exports:\t", ...exported.map(([key, value]) => `\t ${key} \t ${value}`));
  }
  if (plugin.capabilities.length > 0) lines.push(`Capabilities:\t ${plugin.capabilities.join(",")}`);
  if (plugin.initErr !== null) {
    const { code, message } = plugin.initErr;
    lines.push("Error:\t", `\t Code:\t ${CODES[code] ?? `Code(${code})`}`, `\t Message:\t ${message}`);
  }
  return `${lines.join("\n")}\n\t\t\t\n`;
}

export const PLUGINS: Command = {
  names: ["plugins", "plugin"],
  usage: "provides information about containerd plugins",
  commands: [LIST],
};
