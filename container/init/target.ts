// Places inside a container's root: found, and made where missing, without ever leaving the root. Every step is an
// openat2 confined to the root or a call relative to a descriptor it gave; nothing is resolved twice by path.

import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { EEXIST, ELOOP, ENOENT, ENOTDIR, must } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import { tryOpenInRoot } from "../../linux/mount.ts";
import * as nr from "../../linux/numbers.ts";

/** Links followed by hand, where they point at what is to be made. */
const LINK_LIMIT = 16;

export type TargetKind = "directory" | "file";

/** A descriptor (O_PATH) of the place, which is made with mode 0755 when it is missing. `plain`: the last part may not
 *  be a link. */
export function ensureTarget(root: number, path: string, kind: TargetKind, plain = false): fs.Fd {
  return ensure(root, path, { kind, plain, links: 0 });
}

interface Wanted {
  kind: TargetKind;
  plain: boolean;
  links: number;
}

function ensure(root: number, path: string, wanted: Wanted): fs.Fd {
  const flags = fs.O_PATH | (wanted.plain ? fs.O_NOFOLLOW | fs.O_DIRECTORY : 0);
  const found = tryOpenInRoot(root, path, flags);
  if (found >= 0) return new fs.Fd(found);
  if (wanted.plain && (found === -ENOTDIR || found === -ELOOP)) {
    throw new Failure("failed_precondition", `${path} must be mounted on ordinary directory`);
  }
  if (found !== -ENOENT || wanted.links > LINK_LIMIT) throw failureOf(path, found);
  const trimmed = path.replace(/\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  const name = trimmed.slice(slash + 1);
  if (name === "" || name === "..") throw failureOf(path, found);
  const parentPath = slash <= 0 ? "/" : trimmed.slice(0, slash);
  using parent = ensure(root, parentPath, { kind: "directory", plain: false, links: wanted.links + 1 });
  const link = make(parent.number, name, wanted.kind);
  if (link === null) {
    const made = tryOpenInRoot(parent.number, name, fs.O_PATH | fs.O_NOFOLLOW);
    return new fs.Fd(must("open", path, made));
  }
  if (wanted.plain)
    throw new Failure("failed_precondition", `${path} must be mounted on ordinary directory, not a link`);
  const next = link.startsWith("/") ? link : `${parentPath}/${link}`;
  return ensure(root, next, { ...wanted, links: wanted.links + 1 });
}

/** Null when made; the text of a dangling link that stands in its place. */
function make(parent: number, name: string, kind: TargetKind): string | null {
  const made =
    kind === "directory"
      ? door().syscall(nr.SYS_mkdirat, parent, name, 0o755)
      : door().syscall(nr.SYS_mknodat, parent, name, fs.S_IFREG | 0o755, 0);
  if (made === -EEXIST) {
    const found = fs.statAt(parent, name, fs.AT_SYMLINK_NOFOLLOW);
    if (found !== null && (found.mode & fs.S_IFMT) === fs.S_IFLNK) return fs.readLink(name, parent);
    return null;
  }
  must(kind === "directory" ? "mkdir" : "mknod", name, made);
  return null;
}

function failureOf(path: string, result: number): unknown {
  try {
    must("open", path, result);
  } catch (thrown) {
    return thrown;
  }
  return new Failure("internal", `${path} cannot be opened`);
}

/** The place of a new entry: its parent as a descriptor, made when missing, and its name. */
export function ensureParent(root: number, path: string): { parent: fs.Fd; name: string } {
  const trimmed = path.replace(/\/+$/, "");
  const slash = trimmed.lastIndexOf("/");
  const parent = ensureTarget(root, slash <= 0 ? "/" : trimmed.slice(0, slash), "directory");
  return { parent, name: trimmed.slice(slash + 1) };
}

/** Null when it is not there. For paths whose absence is no error. */
export function findTarget(root: number, path: string): fs.Fd | null {
  const found = tryOpenInRoot(root, path, fs.O_PATH);
  if (found === -ENOENT || found === -ENOTDIR) return null;
  return new fs.Fd(must("open", path, found));
}
