// Names on disk: the state root, one directory per container, and the files in it. docs/state-on-disk.md explains them.
//
//     <root>/                      0700, /run/runc
//       .seccomp-<key>             a compiled filter, shared by all containers with the same rules
//       <id>/                      0711
//         made                     a link whose text says what is to be cleaned when state.json cannot say it
//         state.json               written whole, once; replaced by update
//         exec.fifo                while the container waits for `start`
//         seccomp.bpf              another name of the compiled filter, for exec
//         notify/                  with NOTIFY_SOCKET: where the program says that it is ready (notify.sock)

import { Failure } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { EEXIST, EINVAL, ENOENT, errnoOf, must } from "../linux/errno.ts";
import { type Fd, makeDirectories, readLink, readTextIfThere, replaceFile, symlink } from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { openDirectory, tryLock } from "./lock.ts";
import { pathsIn } from "./record.ts";

export const DEFAULT_ROOT = "/run/runc";
const ID_LIMIT = 1024;

export interface Paths {
  root: string;
  directory: string;
  made: string;
  state: string;
  fifo: string;
  filter: string;
  notify: string;
}

/** Throws for an id that is no plain file name. */
export function pathsOf(root: string, id: string): Paths {
  if (!/^[\w+.-]+$/.test(id) || id === "." || id === ".." || id.length > ID_LIMIT) {
    throw new Failure("invalid_argument", "invalid container ID format");
  }
  const directory = `${root}/${id}`;
  return {
    root,
    directory,
    made: `${directory}/made`,
    state: `${directory}/state.json`,
    fifo: `${directory}/exec.fifo`,
    filter: `${directory}/seccomp.bpf`,
    notify: `${directory}/notify`,
  };
}

/** Longest text of a link, less the NUL (PATH_MAX). */
const LINK_LIMIT = 4095;

/** What has to be cleaned if a create is broken off, or if the record is damaged later. */
export interface MadeNote {
  cgroups: Readonly<Record<string, string>>;
  keeper: Keeper;
}

/** Who keeps cgroups: nobody but the file system, the machine's systemd, or the user's. */
export type Keeper = "files" | "machine" | "user";

/** By the letter before the paths. */
const KEEPERS: Readonly<Record<string, Keeper>> = { "1": "files", m: "machine", u: "user" };

/** As the text of a link, because one call makes it whole; as a file where that is too long. */
export function writeMade(paths: Paths, { cgroups, keeper }: MadeNote): void {
  const text = `${keeper === "files" ? "1" : keeper[0]} ${JSON.stringify(cgroups)}`;
  if (door().encode(text).length <= LINK_LIMIT) symlink(text, paths.made);
  else replaceFile(paths.made, text, 0o600);
}

/** Empty when there is none. */
export function readMade(paths: Paths): MadeNote {
  let text: string | null;
  try {
    text = readLink(paths.made);
  } catch (thrown) {
    if (errnoOf(thrown) !== ENOENT && errnoOf(thrown) !== EINVAL) throw thrown;
    text = readTextIfThere(paths.made);
  }
  if (text === null) return { cgroups: {}, keeper: "files" };
  return { cgroups: pathsIn(text.slice(2)), keeper: KEEPERS[text[0]!] ?? "files" };
}

const TAKEN = "container with given ID already exists";

/** Takes the id by making its directory; who made and locked it owns it. The lock is the caller's to close. */
export function claim(paths: Paths): Fd {
  makeDirectories(paths.root, 0o700);
  const made = door().syscall(nr.SYS_mkdir, paths.directory, 0o711);
  if (made === -EEXIST) throw new Failure("already_exists", TAKEN);
  must("mkdir", paths.directory, made);
  const directory = openDirectory(paths.directory);
  // Between the two calls a delete may have taken it away, and another create may have made it again.
  if (directory === null || !tryLock(directory)) {
    directory?.close();
    throw new Failure("already_exists", TAKEN);
  }
  return directory;
}
