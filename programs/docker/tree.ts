// All commands, where they stand in the tree, and how words of a command line find one.

import type { Command, Group } from "./command.ts";
import { CONTAINER_COMMANDS } from "./commands/container/index.ts";
import { CONTEXT_GROUP } from "./commands/context.ts";
import { IMAGE_COMMANDS } from "./commands/image/index.ts";
import { search } from "./commands/image/search.ts";
import { NETWORK_GROUP } from "./commands/network.ts";
import { dialStdio, SYSTEM_COMMANDS } from "./commands/system/index.ts";
import { inspect } from "./commands/system/inspect.ts";
import { login, logout } from "./commands/system/login.ts";
import { version } from "./commands/system/version.ts";
import { VOLUME_GROUP } from "./commands/volume.ts";

export const GROUPS: readonly Group[] = [
  { name: "container", summary: "Manage containers", commands: CONTAINER_COMMANDS },
  CONTEXT_GROUP,
  { name: "image", summary: "Manage images", commands: IMAGE_COMMANDS },
  NETWORK_GROUP,
  { name: "system", summary: "Manage Docker", commands: [...SYSTEM_COMMANDS, dialStdio] },
  VOLUME_GROUP,
];

/** Group commands that also stand at the top: [top name, group, name there]. */
const TOP_NAMES: readonly (readonly [top: string, group: string, name: string])[] = [
  ...["attach", "commit", "cp", "create", "diff", "exec", "export", "kill", "logs", "pause", "port", "rename"].map(
    (name) => [name, "container", name] as const,
  ),
  ...["restart", "rm", "run", "start", "stats", "stop", "top", "unpause", "update", "wait"].map(
    (name) => [name, "container", name] as const,
  ),
  ["ps", "container", "ls"],
  ...["history", "import", "load", "pull", "push", "save", "tag"].map((name) => [name, "image", name] as const),
  ["images", "image", "ls"],
  ["rmi", "image", "rm"],
  ["events", "system", "events"],
  ["info", "system", "info"],
];

export const TOP_COMMANDS: readonly Command[] = [
  ...TOP_NAMES.map(([top, group, name]) => ({ ...inGroup(group, name)!, name: top, aliases: [] })),
  inspect,
  login,
  logout,
  search,
  version,
];

function inGroup(group: string, name: string): Command | null {
  const commands = GROUPS.find((candidate) => candidate.name === group)?.commands ?? [];
  return commands.find((command) => command.name === name || command.aliases?.includes(name)) ?? null;
}

export type Found =
  | { kind: "command"; command: Command; path: string; args: string[] }
  | { kind: "group"; group: Group }
  | { kind: "unknown"; word: string; group: string | null };

export function findCommand(words: readonly string[]): Found {
  const [first, second] = [words[0]!, words[1]];
  const top = TOP_COMMANDS.find((command) => command.name === first);
  if (top !== undefined) return { kind: "command", command: top, path: `docker ${first}`, args: words.slice(1) };
  const group = GROUPS.find((candidate) => candidate.name === first);
  if (group === undefined) return { kind: "unknown", word: first, group: null };
  if (second === undefined || second === "--help" || second === "-h") return { kind: "group", group };
  const command = inGroup(first, second);
  if (command === null) return { kind: "unknown", word: second, group: `docker ${first}` };
  return { kind: "command", command, path: `docker ${first} ${command.name}`, args: words.slice(2) };
}
