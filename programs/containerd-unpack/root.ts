// From a snapshot's mounts to one directory descriptor, without anything that another process could see.
//
// A bind needs no mount: its source is opened. An overlay is mounted in a mount namespace of our own, so it ends with
// this process whatever happens to it.

import type { UnpackMount } from "../../api/unpack/unpack.ts";
import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { EINVAL, ENOENT, must } from "../../linux/errno.ts";
import { changeDirectory, type Fd, O_DIRECTORY, O_RDONLY, open } from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";

const CLONE_NEWNS = 0x20000;
const MS_RDONLY = 1;
const MS_REC = 0x4000;
const MS_PRIVATE = 0x40000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const STACK_LIMIT = 128; // mounts on one path

/** What the kernel takes as mount data: one page, with the NUL. */
const OPTIONS_LIMIT = 4095;
const PATH_OPTIONS = ["lowerdir=", "upperdir=", "workdir="];

export function openRoot(mounts: readonly UnpackMount[], how: { mountpoint: string; readOnly: boolean }): Fd {
  const [mount] = mounts;
  if (mount === undefined || mounts.length > 1) {
    throw new Failure("unimplemented", `one mount is expected for a layer, not ${mounts.length}`);
  }
  if (mount.type === "bind") return open(mount.source, O_RDONLY | O_DIRECTORY);
  if (mount.type !== "overlay") throw new Failure("unimplemented", `mount type ${mount.type} is not supported`);
  const { base, options } = shorten(mount.options.filter((option) => option !== "ro" && option !== "rw"));
  if (options.length > OPTIONS_LIMIT) {
    throw new Failure("invalid_argument", `the layer has too many parents: ${options.length} bytes of mount options`);
  }
  must("unshare", "mount namespace", door().syscall(nr.SYS_unshare, CLONE_NEWNS));
  must("mount", "/", door().syscall(nr.SYS_mount, "none", "/", null, MS_REC | MS_PRIVATE, null));
  if (base !== "") changeDirectory(base);
  const flags = how.readOnly ? MS_RDONLY : 0;
  must(
    "mount overlay",
    how.mountpoint,
    door().syscall(nr.SYS_mount, "overlay", how.mountpoint, "overlay", flags, options),
  );
  const root = open(how.mountpoint, O_RDONLY | O_DIRECTORY);
  changeDirectory("/");
  return root;
}

/** The options relative to the directory that all their paths share: some hundred parents then fit in a page. */
function shorten(options: readonly string[]): { base: string; options: string } {
  const paths = options.flatMap((option) => {
    const prefix = PATH_OPTIONS.find((known) => option.startsWith(known));
    return prefix === undefined ? [] : option.slice(prefix.length).split(":");
  });
  const base = commonDirectory(paths);
  if (base === "") return { base, options: options.join(",") };
  const relative = options.map((option) => {
    const prefix = PATH_OPTIONS.find((known) => option.startsWith(known));
    if (prefix === undefined) return option;
    const parts = option.slice(prefix.length).split(":");
    return prefix + parts.map((path) => path.slice(base.length + 1)).join(":");
  });
  return { base, options: relative.join(",") };
}

/** Without the slash at the end; empty when there is none but "/". */
function commonDirectory(paths: readonly string[]): string {
  let base = paths[0]?.slice(0, Math.max(0, paths[0].lastIndexOf("/"))) ?? "";
  while (base !== "" && !paths.every((path) => path.startsWith(`${base}/`)))
    base = base.slice(0, base.lastIndexOf("/"));
  return base;
}

/** Takes off every mount that stands on the path; none is fine. */
export function unmountAll(path: string): void {
  for (let count = 0; count < STACK_LIMIT; count++) {
    const result = door().syscall(nr.SYS_umount2, path, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (result === -EINVAL || result === -ENOENT) return;
    must("unmount", path, result);
  }
}
