// Small synchronous file access of the runtime contract, over linux/fd.

import type { Bytes } from "../../base/bytes.ts";
import type { Files } from "../../base/runtime.ts";
import { door } from "../../linux/door.ts";
import { ENOENT, errnoOf } from "../../linux/errno.ts";
import * as fd from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";
import type { Loop } from "./loop.ts";
import { FdStream } from "./stream.ts";

type Kind = "file" | "directory" | "socket" | "fifo" | "other";

const KINDS: Readonly<Record<number, Kind>> = {
  [fd.S_IFREG]: "file",
  [fd.S_IFDIR]: "directory",
  [fd.S_IFSOCK]: "socket",
  [fd.S_IFIFO]: "fifo",
};

export function files(loop: Loop): Files {
  return {
    read: (path, limit) => readIfThere(path, limit),
    replace: replaceDurably,
    stat(path) {
      const found = fd.stat(path);
      if (found === null) return null;
      return { kind: KINDS[found.mode & fd.S_IFMT] ?? "other", size: found.size, mode: found.mode & 0o7777 };
    },
    list: (path) => fd.listDirectory(path).map((entry) => entry.name),
    makeDirectories: fd.makeDirectories,
    remove: (path) => void fd.unlinkIfThere(path),
    open(path, how) {
      const flags = how.write ? fd.O_WRONLY | fd.O_CREAT | fd.O_TRUNC : fd.O_RDONLY;
      return new FdStream(loop, fd.open(path, flags, how.mode ?? 0o644), "file");
    },
    get workingDirectory() {
      return fd.workingDirectory();
    },
  };
}

function readIfThere(path: string, limit: number): Bytes | null {
  try {
    return fd.readFile(path, limit);
  } catch (thrown) {
    if (errnoOf(thrown) === ENOENT) return null;
    throw thrown;
  }
}

function replaceDurably(path: string, content: Uint8Array, mode: number): void {
  const aside = `${path}.tmp`;
  {
    using file = fd.open(aside, fd.O_WRONLY | fd.O_CREAT | fd.O_TRUNC, mode);
    fd.writeAll(file.number, content);
    door().syscall(nr.SYS_fsync, file.number);
  }
  fd.rename(aside, path);
}
