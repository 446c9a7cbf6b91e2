// Sources of mounts that a container's first process cannot open or change itself, because its user namespace has no
// right to: a directory closed to the mapped root, an id-mapped mount. The parent, who is root, has a child enter the
// container's mount namespace (still the host's tree, cut off from it) and send what is wanted.

import { messageOf } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import * as fs from "../linux/fd.ts";
import { changeMount, cloneTree, MOUNT_ATTR_IDMAP } from "../linux/mount.ts";
import { NAMESPACES, setNamespace } from "../linux/namespace.ts";
import { exit, fork, openPidfd, waitChild } from "../linux/process.ts";
import { send, sendDescriptor } from "../linux/socket.ts";
import { idmapNamespace } from "./init/idmap.ts";
import type { MountPlan } from "./spec/mounts.ts";

/** Answers the first process over the dialogue: a descriptor, or why there is none. `path` is absolute. */
export function giveSource(target: { pid: number; dialogue: number }, mount: MountPlan, path: string): void {
  const helper = fork();
  if (helper !== 0) {
    const ended = waitChild(helper);
    if (ended?.code !== 0) send(target.dialogue, door().encode("the process that was to open it died"));
    return;
  }
  try {
    using process = openPidfd(target.pid);
    setNamespace(process.number, NAMESPACES.mount.flag, "the container's mounts");
    using source = mount.idmap === null ? fs.open(path, fs.O_PATH) : mappedTree(mount, path);
    sendDescriptor(target.dialogue, source.number, "source");
  } catch (thrown) {
    sayWhyNot(target.dialogue, messageOf(thrown));
  }
  exit(0);
}

/** In a copy of the runtime, which must not go on as one even if nobody listens. */
function sayWhyNot(dialogue: number, reason: string): void {
  try {
    send(dialogue, door().encode(reason));
  } catch {
    // The one who asked is gone.
  }
}

function mappedTree({ idmap, recursive }: MountPlan, path: string): fs.Fd {
  const tree = cloneTree(fs.AT_FDCWD, path, recursive);
  using proc = fs.open("/proc", fs.O_PATH | fs.O_DIRECTORY);
  using namespace = idmapNamespace(proc.number, idmap!);
  changeMount(tree.number, { set: MOUNT_ATTR_IDMAP, userNamespace: namespace.number, recursive: idmap!.recursive });
  return tree;
}
