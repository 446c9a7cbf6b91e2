// Stage: paths of /proc and /sys that the container may not change (readonlyPaths) or see (maskedPaths). Runs inside
// the new root; each path is resolved once, to a descriptor, and what covers it comes from verified descriptors.

import { Failure } from "../../base/errors.ts";
import * as fs from "../../linux/fd.ts";
import * as m from "../../linux/mount.ts";
import type { Birth } from "./birth.ts";
import { findTarget } from "./target.ts";

export function protectPaths(birth: Birth): void {
  const { readonlyPaths, maskedPaths } = birth.plan.linux;
  for (const path of new Set(readonlyPaths)) makeReadOnly(birth.root.number, path);
  if (maskedPaths.length === 0) return;
  using covers = new Covers(birth.root.number);
  for (const path of new Set(maskedPaths)) {
    using target = findTarget(birth.root.number, path);
    if (target === null) continue;
    const directory = (fs.statFd(target.number).mode & fs.S_IFMT) === fs.S_IFDIR;
    using cover = directory ? covers.directory() : covers.file();
    m.attach(cover.number, target.number);
    // A clone of a mount needs an attached one to clone from, so the first stays for the next.
    if (directory) covers.attached(cover);
  }
}

function makeReadOnly(root: number, path: string): void {
  using target = findTarget(root, path);
  if (target === null) return;
  using tree = m.cloneTree(target.number, "", true);
  m.changeMount(tree.number, { set: m.MOUNT_ATTR_RDONLY, recursive: true });
  m.attach(tree.number, target.number);
}

/** What is laid over masked paths: the container's /dev/null over files, one empty read-only tmpfs over directories. */
class Covers implements Disposable {
  readonly #root: number;
  #empty: fs.Fd | null = null;
  #null: fs.Fd | null = null;

  constructor(root: number) {
    this.#root = root;
  }

  directory(): fs.Fd {
    if (this.#empty === null)
      return m.newMount("tmpfs", "tmpfs", ["ro", "nr_blocks=1", "nr_inodes=1"], m.MOUNT_ATTR_RDONLY);
    return m.cloneTree(this.#empty.number, "", false);
  }

  attached(cover: fs.Fd): void {
    this.#empty ??= new fs.Fd(cover.release());
  }

  file(): fs.Fd {
    this.#null ??= nullDevice(this.#root);
    return m.cloneTree(this.#null.number, "", false);
  }

  [Symbol.dispose](): void {
    this.#null?.close();
    this.#empty?.close();
  }
}

/** Checked to be it: an image could have put anything at that path. */
function nullDevice(root: number): fs.Fd {
  const device = m.openInRoot(root, "/dev/null", fs.O_PATH | fs.O_NOFOLLOW);
  const { mode, rdev } = fs.statFd(device.number);
  if ((mode & fs.S_IFMT) === fs.S_IFCHR && rdev.major === 1 && rdev.minor === 3) return device;
  device.close();
  throw new Failure(
    "failed_precondition",
    "/dev/null of the container is not the null device: nothing can be masked with it",
  );
}
