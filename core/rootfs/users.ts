// Who a process runs as: `-u name`, `-u uid`, `-u name:group`, looked up in the root's own /etc/passwd and /etc/group.
// Ids are unsigned 32 bit; what goes beyond is refused (a wrapped id would be root).

import { decodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import type { User } from "../spec/oci.ts";
import { type Root, readInside } from "./walk.ts";

/** Bytes of /etc/passwd and /etc/group that are read. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** The runtime refuses ids above this: they are reserved or negative elsewhere. */
const MAX_ID = 0x7fffffff;

interface Account {
  name: string;
  uid: number;
  gid: number;
  home: string;
}

interface Group {
  name: string;
  gid: number;
  members: string[];
}

export interface ResolvedUser {
  user: User;
  /** For HOME; "/" when nobody says. */
  home: string;
}

/** `extra` are --group-add's names and numbers. */
export function resolveUser(root: Root | null, wanted: string, extra: readonly string[]): ResolvedUser {
  const accounts = root === null ? [] : readAccounts(root);
  const groups = root === null ? [] : readGroups(root);
  const colon = wanted.indexOf(":");
  const userText = colon < 0 ? wanted : wanted.slice(0, colon);
  const groupText = colon < 0 ? "" : wanted.slice(colon + 1);
  const account = findAccount(accounts, userText === "" ? "0" : userText);
  const uid = account?.uid ?? parseId(userText === "" ? "0" : userText);
  if (uid === null) {
    throw new Failure("invalid_argument", `unable to find user ${userText}: no matching entries in passwd file`);
  }
  let gid = account?.gid ?? 0;
  const additional: number[] = [];
  if (groupText !== "") gid = groupId(groups, groupText);
  // Named groups come with the account, and only while no group was asked for.
  else if (account !== null) {
    for (const group of groups) if (group.members.includes(account.name)) additional.push(group.gid);
  }
  for (const name of extra) additional.push(groupId(groups, name));
  const user: User = { uid, gid };
  const list = [...new Set([gid, ...additional])];
  user.additionalGids = list;
  return { user, home: account === null || account.home === "" ? "/" : account.home };
}

function findAccount(accounts: readonly Account[], text: string): Account | null {
  const named = accounts.find((account) => account.name === text);
  if (named !== undefined) return named;
  const id = parseId(text);
  return id === null ? null : (accounts.find((account) => account.uid === id) ?? null);
}

function groupId(groups: readonly Group[], text: string): number {
  const named = groups.find((group) => group.name === text);
  if (named !== undefined) return named.gid;
  const id = parseId(text);
  if (id !== null) return id;
  throw new Failure("invalid_argument", `Unable to find group ${text}: no matching entries in group file`);
}

/** Null when it is no number at all. Throws when it is one that is too large. */
function parseId(text: string): number | null {
  if (!/^-?\d+$/.test(text)) return null;
  const id = Number(text);
  if (id >= 0 && id <= MAX_ID) return id;
  throw new Failure("invalid_argument", `uids and gids must be in range 0-${MAX_ID}`);
}

function readLines(root: Root, path: string): string[][] {
  const bytes = readInside(root, path, MAX_FILE_BYTES);
  if (bytes === null) return [];
  const lines = decodeUtf8(bytes).split("\n");
  return lines.filter((line) => line.trim() !== "" && !line.startsWith("#")).map((line) => line.trim().split(":"));
}

function readAccounts(root: Root): Account[] {
  const accounts: Account[] = [];
  for (const [name, , uid, gid, , home] of readLines(root, "/etc/passwd")) {
    if (!isId(uid) || !isId(gid)) continue;
    accounts.push({ name: name!, uid: Number(uid), gid: Number(gid), home: home ?? "" });
  }
  return accounts;
}

function readGroups(root: Root): Group[] {
  const groups: Group[] = [];
  for (const [name, , gid, members] of readLines(root, "/etc/group")) {
    if (!isId(gid)) continue;
    groups.push({ name: name!, gid: Number(gid), members: (members ?? "").split(",").filter((one) => one !== "") });
  }
  return groups;
}

/** A line with an id that no process may have is left out, as if it were not there. */
function isId(text: string | undefined): boolean {
  return text !== undefined && /^\d{1,10}$/.test(text) && Number(text) <= MAX_ID;
}
