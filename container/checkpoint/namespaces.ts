// Namespaces that were joined by path. criu leaves a network or pid namespace out of the images when it is named as
// external, and joins it again at a restore from a descriptor; others it joins by path.

import { InheritFd, JoinNamespace } from "../../api/criu/gen/rpc.ts";
import { Failure } from "../../base/errors.ts";
import { ENOENT, errnoOf } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import { NAMESPACES, type NamespaceKind } from "../../linux/namespace.ts";
import { CRIU_EXTERNAL_NETWORK, CRIU_EXTERNAL_PIDS, type Criu } from "./tool.ts";
import { FIRST_INHERITED } from "./worker.ts";

const EXTERNAL: Partial<Record<NamespaceKind, number>> = {
  network: CRIU_EXTERNAL_NETWORK,
  pid: CRIU_EXTERNAL_PIDS,
};

/** The name by which dump and restore know one. */
function keyOf(kind: NamespaceKind): string {
  const { file } = NAMESPACES[kind];
  return `extRoot${file[0]!.toUpperCase()}${file.slice(1)}NS`;
}

function requireExternal(criu: Criu, kind: NamespaceKind, during: string): void {
  if (criu.reaches(EXTERNAL[kind]!)) return;
  const { file } = NAMESPACES[kind];
  throw new Failure(
    "failed_precondition",
    `criu lacks support for external ${file} namespace during ${during} process (old criu version?)`,
  );
}

/** For a dump, from the namespaces joined by path. */
export function externalNamespaces(criu: Criu, joined: ReadonlyMap<NamespaceKind, string>): string[] {
  const external: string[] = [];
  for (const kind of ["network", "pid"] as const) {
    const path = joined.get(kind) ?? "";
    if (path === "") continue;
    requireExternal(criu, kind, "checkpointing");
    const found = fs.stat(path);
    if (found === null) throw new Failure("not_found", `stat ${path}: no such file or directory`);
    external.push(`${NAMESPACES[kind].file}[${found.inode}]:${keyOf(kind)}`);
  }
  return external;
}

export interface RestoredNamespaces extends Disposable {
  inheritFd: InheritFd[];
  joinNs: JoinNamespace[];
  /** What criu gets as FIRST_INHERITED and the following. */
  descriptors: number[];
}

export function restoredNamespaces(criu: Criu, joined: ReadonlyMap<NamespaceKind, string>): RestoredNamespaces {
  const opened: fs.Fd[] = [];
  const close = () => {
    for (const descriptor of opened) descriptor.close();
  };
  const inheritFd: InheritFd[] = [];
  const joinNs: JoinNamespace[] = [];
  try {
    for (const [kind, path] of joined) {
      if (path === "") continue;
      if (kind === "cgroup") throw new Failure("unimplemented", "Do not know how to handle namespace NEWCGROUP");
      if (EXTERNAL[kind] === undefined) {
        joinNs.push(JoinNamespace.create({ ns: NAMESPACES[kind].file, nsFile: path }));
        continue;
      }
      requireExternal(criu, kind, "the restoration");
      inheritFd.push(InheritFd.create({ key: keyOf(kind), fd: FIRST_INHERITED + opened.length }));
      opened.push(openNamespace(path));
    }
  } catch (thrown) {
    close();
    throw thrown;
  }
  return { inheritFd, joinNs, descriptors: opened.map(({ number }) => number), [Symbol.dispose]: close };
}

function openNamespace(path: string): fs.Fd {
  try {
    return fs.open(path, fs.O_RDONLY);
  } catch (thrown) {
    if (errnoOf(thrown) !== ENOENT) throw thrown;
    throw new Failure("not_found", `Requested network namespace ${path} does not exist`, { cause: thrown });
  }
}
