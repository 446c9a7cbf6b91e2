// Mount options of config.json, read into what the kernel's calls want. The option words are those of mount(8) plus
// runc's: r-prefixed ones apply to the whole tree (mount_setattr), tmpcopyup, idmap.

import { Failure } from "../../base/errors.ts";
import { lookUp } from "../../base/lookup.ts";
import * as m from "../../linux/mount.ts";
import type { MappingSpec, MountSpec } from "./schema.ts";

export interface MountPlan {
  destination: string;
  type: string;
  source: string;
  bind: boolean;
  recursive: boolean;
  remount: boolean;
  /** MOUNT_ATTR_* of this mount alone; `clear` is what words such as "rw" and "exec" ask. */
  set: number;
  clear: number;
  /** Whether any word speaks of them, and whether one sets the access time (a word that only takes back does not). */
  changes: boolean;
  setsAtime: boolean;
  /** Of the whole tree. */
  treeSet: number;
  treeClear: number;
  /** In the order given: MS_SHARED … and whether for the tree. */
  propagation: { flag: number; recursive: boolean }[];
  /** What the filesystem itself is told, superblock flags included. */
  options: string[];
  copyUp: boolean;
  idmap: { recursive: boolean; uids: MappingSpec[]; gids: MappingSpec[] } | null;
}

interface Attribute {
  set: number;
  clear: number;
}

const atime = (set: number): Attribute => ({ set, clear: m.MOUNT_ATTR_ATIME });
const on = (bit: number): Attribute => ({ set: bit, clear: 0 });
const off = (bit: number): Attribute => ({ set: 0, clear: bit });

const ATTRIBUTES: Readonly<Record<string, Attribute>> = {
  ro: on(m.MOUNT_ATTR_RDONLY),
  rw: off(m.MOUNT_ATTR_RDONLY),
  nosuid: on(m.MOUNT_ATTR_NOSUID),
  suid: off(m.MOUNT_ATTR_NOSUID),
  nodev: on(m.MOUNT_ATTR_NODEV),
  dev: off(m.MOUNT_ATTR_NODEV),
  noexec: on(m.MOUNT_ATTR_NOEXEC),
  exec: off(m.MOUNT_ATTR_NOEXEC),
  nodiratime: on(m.MOUNT_ATTR_NODIRATIME),
  diratime: off(m.MOUNT_ATTR_NODIRATIME),
  nosymfollow: on(m.MOUNT_ATTR_NOSYMFOLLOW),
  symfollow: off(m.MOUNT_ATTR_NOSYMFOLLOW),
  relatime: atime(0),
  norelatime: atime(0),
  noatime: atime(m.MOUNT_ATTR_NOATIME),
  atime: atime(0),
  strictatime: atime(m.MOUNT_ATTR_STRICTATIME),
  nostrictatime: atime(0),
};

const PROPAGATION: Readonly<Record<string, number>> = {
  private: m.MS_PRIVATE,
  shared: m.MS_SHARED,
  slave: m.MS_SLAVE,
  unbindable: m.MS_UNBINDABLE,
};

/** Flags of the superblock, by the names that fsconfig knows; those turned off by other words are the default. */
const SUPERBLOCK = ["sync", "dirsync", "lazytime", "mand"];
const IGNORED = ["async", "defaults", "iversion", "loud", "silent", "nolazytime", "nomand", "noiversion"];

/** Words that `features` lists. */
export const MOUNT_OPTIONS: readonly string[] = [
  ...Object.keys(ATTRIBUTES),
  ...Object.keys(ATTRIBUTES).map((word) => `r${word}`),
  ...Object.keys(PROPAGATION).flatMap((word) => [word, `r${word}`]),
  ...SUPERBLOCK,
  ...IGNORED,
  ...["bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"],
].sort();

/** runc's word for rootfsPropagation and its kernel flags; null when there is no such word. */
export function propagationOf(word: string): { flag: number; recursive: boolean } | null {
  const recursive = word.startsWith("r") && Object.hasOwn(PROPAGATION, word.slice(1));
  const flag = lookUp(PROPAGATION, recursive ? word.slice(1) : word);
  return flag === undefined ? null : { flag, recursive };
}

export function planMount(spec: MountSpec): MountPlan {
  const plan: MountPlan = {
    destination: spec.destination.startsWith("/") ? spec.destination : `/${spec.destination}`,
    type: spec.type,
    source: spec.source,
    bind: spec.type === "bind",
    recursive: false,
    remount: false,
    set: 0,
    clear: 0,
    changes: false,
    setsAtime: false,
    treeSet: 0,
    treeClear: 0,
    propagation: [],
    options: [],
    copyUp: false,
    idmap: null,
  };
  for (const word of spec.options) applyWord(plan, word, spec);
  setAtime(plan, spec.options);
  if (spec.uidMappings.length > 0 || spec.gidMappings.length > 0) {
    plan.idmap ??= { recursive: false, uids: spec.uidMappings, gids: spec.gidMappings };
  }
  if (plan.idmap !== null && !plan.bind) {
    throw new Failure(
      "invalid_argument",
      `invalid mount ${spec.destination}: id-mapped mounts are only supported for bind-mounts`,
    );
  }
  if (plan.copyUp && plan.type !== "tmpfs") plan.copyUp = false;
  if (!plan.bind && (plan.set & m.MOUNT_ATTR_RDONLY) !== 0) plan.options.push("ro");
  return plan;
}

/** mount(8)'s words for the access time, each with the word that takes it back. */
const ATIME_WORDS = [
  ["noatime", "atime"],
  ["relatime", "norelatime"],
  ["strictatime", "nostrictatime"],
  ["nodiratime", "diratime"],
] as const;

/** As mount(2) reads its flags: one that is set replaces what was there; strictatime wins over the others. */
function setAtime(plan: MountPlan, words: readonly string[]): void {
  if (!words.some((word) => word.endsWith("atime"))) return;
  const isSet = ([on, off]: readonly [string, string]) => words.lastIndexOf(on) > words.lastIndexOf(off);
  const [none, relative, strict, noDirectories] = ATIME_WORDS.map(isSet);
  plan.setsAtime = none! || relative! || strict! || noDirectories!;
  plan.set &= ~(m.MOUNT_ATTR_ATIME | m.MOUNT_ATTR_NODIRATIME);
  if (strict) plan.set |= m.MOUNT_ATTR_STRICTATIME;
  else if (none) plan.set |= m.MOUNT_ATTR_NOATIME;
  if (noDirectories) plan.set |= m.MOUNT_ATTR_NODIRATIME;
}

function applyWord(plan: MountPlan, word: string, spec: MountSpec): void {
  if (word.includes("=")) {
    plan.options.push(...word.split(","));
    return;
  }
  const attribute = lookUp(ATTRIBUTES, word);
  if (attribute !== undefined) {
    plan.changes = true;
    plan.set = (plan.set & ~attribute.clear) | attribute.set;
    plan.clear = (plan.clear & ~attribute.set) | attribute.clear;
    return;
  }
  const tree = word.startsWith("r") ? lookUp(ATTRIBUTES, word.slice(1)) : undefined;
  const propagation = propagationOf(word);
  if (tree !== undefined) {
    plan.treeSet = (plan.treeSet & ~tree.clear) | tree.set;
    plan.treeClear = (plan.treeClear & ~tree.set) | tree.clear;
  } else if (propagation !== null) plan.propagation.push(propagation);
  else if (word === "bind" || word === "rbind") {
    plan.bind = true;
    plan.recursive = word === "rbind";
  } else if (word === "remount") plan.remount = true;
  else if (word === "tmpcopyup") plan.copyUp = true;
  else if (word === "idmap" || word === "ridmap") {
    plan.idmap = { recursive: word === "ridmap", uids: spec.uidMappings, gids: spec.gidMappings };
  } else if (SUPERBLOCK.includes(word)) plan.options.push(word);
  else if (!IGNORED.includes(word)) plan.options.push(...word.split(","));
}
