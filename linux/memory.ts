// Memory shared with a file: what a process has stored there is in the file at that moment, whatever becomes of the
// process. A store costs no system call.

import type { Bytes } from "../base/bytes.ts";
import { door } from "./door.ts";
import { must } from "./errno.ts";
import { SYS_fallocate, SYS_madvise, SYS_mmap, SYS_munmap } from "./numbers.ts";

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MADV_DONTFORK = 10;
const PUNCH_HOLE_KEEP_SIZE = 3;

/** A view of the file's first `length` bytes. Touching a part for which the file system has no room ends the process
 *  (SIGBUS): see `reserve`. Lives until `unmap`. */
export function mapFile(file: number, length: number): Bytes {
  const mapped = door().syscall(SYS_mmap, null, length, PROT_READ_WRITE, MAP_SHARED, file, 0);
  const address = must("mmap", `fd ${file}`, mapped);
  // A clone that goes into a container has no business here.
  door().syscall(SYS_madvise, address, length, MADV_DONTFORK);
  return door().memory(address, length);
}

/** The view must not be used afterwards. */
export function unmap(view: Bytes): void {
  door().syscall(SYS_munmap, door().address(view), view.length);
}

/** Gives the room of a part of a file back; it reads as zeros then. Must hold whole pages. */
export function giveBack(file: number, from: number, length: number): void {
  door().syscall(SYS_fallocate, file, PUNCH_HOLE_KEEP_SIZE, from, length);
}

/** Makes room for a part of a file, so that storing into it cannot fail. Throws SyscallFailure. */
export function reserve(file: number, from: number, length: number): void {
  must("fallocate", `fd ${file}`, door().syscall(SYS_fallocate, file, 0, from, length));
}
