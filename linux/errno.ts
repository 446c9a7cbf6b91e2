// Errors of system calls: the kernel's numbers with their names and sentences, and the Failure that carries a call, its
// path and its errno. Numbers from include/uapi/asm-generic/errno*.h; the sentences are Go's, which upper layers match.

import { type ErrorCode, Failure } from "../base/errors.ts";
import { door, type SyscallArgument } from "./door.ts";

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const ENOEXEC = 8;
export const EBADF = 9;
export const ECHILD = 10;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const EXDEV = 18;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ENOTTY = 25;
export const ENOSPC = 28;
export const EROFS = 30;
export const EPIPE = 32;
export const ENOSYS = 38;
export const ENOTEMPTY = 39;
export const ELOOP = 40;
export const ENODATA = 61;
export const EOPNOTSUPP = 95;
export const EADDRINUSE = 98;
export const ECONNABORTED = 103;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ECONNREFUSED = 111;
export const EINPROGRESS = 115;

const NAMES: Readonly<Record<number, readonly [name: string, sentence: string]>> = {
  1: ["EPERM", "operation not permitted"],
  2: ["ENOENT", "no such file or directory"],
  3: ["ESRCH", "no such process"],
  4: ["EINTR", "interrupted system call"],
  5: ["EIO", "input/output error"],
  6: ["ENXIO", "no such device or address"],
  7: ["E2BIG", "argument list too long"],
  8: ["ENOEXEC", "exec format error"],
  9: ["EBADF", "bad file descriptor"],
  10: ["ECHILD", "no child processes"],
  11: ["EAGAIN", "resource temporarily unavailable"],
  12: ["ENOMEM", "cannot allocate memory"],
  13: ["EACCES", "permission denied"],
  14: ["EFAULT", "bad address"],
  16: ["EBUSY", "device or resource busy"],
  17: ["EEXIST", "file exists"],
  18: ["EXDEV", "invalid cross-device link"],
  19: ["ENODEV", "no such device"],
  20: ["ENOTDIR", "not a directory"],
  21: ["EISDIR", "is a directory"],
  22: ["EINVAL", "invalid argument"],
  23: ["ENFILE", "too many open files in system"],
  24: ["EMFILE", "too many open files"],
  25: ["ENOTTY", "inappropriate ioctl for device"],
  26: ["ETXTBSY", "text file busy"],
  27: ["EFBIG", "file too large"],
  28: ["ENOSPC", "no space left on device"],
  29: ["ESPIPE", "illegal seek"],
  30: ["EROFS", "read-only file system"],
  31: ["EMLINK", "too many links"],
  32: ["EPIPE", "broken pipe"],
  34: ["ERANGE", "numerical result out of range"],
  36: ["ENAMETOOLONG", "file name too long"],
  38: ["ENOSYS", "function not implemented"],
  39: ["ENOTEMPTY", "directory not empty"],
  40: ["ELOOP", "too many levels of symbolic links"],
  61: ["ENODATA", "no data available"],
  71: ["EPROTO", "protocol error"],
  75: ["EOVERFLOW", "value too large for defined data type"],
  88: ["ENOTSOCK", "socket operation on non-socket"],
  95: ["EOPNOTSUPP", "operation not supported"],
  97: ["EAFNOSUPPORT", "address family not supported by protocol"],
  98: ["EADDRINUSE", "address already in use"],
  99: ["EADDRNOTAVAIL", "cannot assign requested address"],
  101: ["ENETUNREACH", "network is unreachable"],
  103: ["ECONNABORTED", "software caused connection abort"],
  104: ["ECONNRESET", "connection reset by peer"],
  105: ["ENOBUFS", "no buffer space available"],
  106: ["EISCONN", "transport endpoint is already connected"],
  107: ["ENOTCONN", "transport endpoint is not connected"],
  110: ["ETIMEDOUT", "connection timed out"],
  111: ["ECONNREFUSED", "connection refused"],
  113: ["EHOSTUNREACH", "no route to host"],
  115: ["EINPROGRESS", "operation now in progress"],
  116: ["ESTALE", "stale file handle"],
  122: ["EDQUOT", "disk quota exceeded"],
};

const CODES: Readonly<Record<number, ErrorCode>> = {
  [EPERM]: "permission_denied",
  [EACCES]: "permission_denied",
  [ENOENT]: "not_found",
  [ESRCH]: "not_found",
  [EEXIST]: "already_exists",
  [EINVAL]: "invalid_argument",
  [ENOSYS]: "unimplemented",
  [EOPNOTSUPP]: "unimplemented",
  [EAGAIN]: "unavailable",
  [ECONNREFUSED]: "unavailable",
  [ENOSPC]: "resource_exhausted",
};

/** "ENOENT", or "errno 512" for a number outside the table. */
export function errnoName(errno: number): string {
  return NAMES[errno]?.[0] ?? `errno ${errno}`;
}

/** "no such file or directory". */
export function errnoSentence(errno: number): string {
  return NAMES[errno]?.[1] ?? `errno ${errno}`;
}

/** A failed system call. The message reads as Go's *PathError does: "mount /proc: operation not permitted". */
export class SyscallFailure extends Failure {
  readonly call: string;
  readonly errno: number;

  constructor(call: string, errno: number, subject = "") {
    super(CODES[errno] ?? "unknown", `${call}${subject === "" ? "" : ` ${subject}`}: ${errnoSentence(errno)}`, {
      facts: { call, subject, errno: errnoName(errno) },
    });
    this.name = "SyscallFailure";
    this.call = call;
    this.errno = errno;
  }
}

/** Passes a result on; a failure throws SyscallFailure with the call's name and what it was about. */
export function must(call: string, subject: string, result: number): number {
  if (result < 0) throw new SyscallFailure(call, -result, subject);
  return result;
}

/** The errno of a SyscallFailure, else 0. */
export function errnoOf(thrown: unknown): number {
  return thrown instanceof SyscallFailure ? thrown.errno : 0;
}

/** The raw call, repeated while a signal interrupts it. Not for close, sleeps or anything with a timeout. */
export function retrying(number: number, ...args: SyscallArgument[]): number {
  for (;;) {
    const result = door().syscall(number, ...args);
    if (result !== -EINTR) return result;
  }
}
