// Processes: clone, execve, wait, prctl, and who we are. A clone without CLONE_VM returns into JavaScript in both
// processes: sound because the engine has one thread and the child owns a copy of everything.

import { door } from "./door.ts";
import { ECHILD, EINTR, must, retrying } from "./errno.ts";
import { Fd } from "./fd.ts";
import * as nr from "./numbers.ts";

export const CLONE_PARENT = 0x8000;
export const CLONE_PIDFD = 0x1000;
export const CLONE_INTO_CGROUP = 0x2_0000_0000n;
export const WNOHANG = 1;
const SIGCHLD = 17;
const PR_SET_PDEATHSIG = 1;
const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const PR_SET_CHILD_SUBREAPER = 36;
const PR_GET_CHILD_SUBREAPER = 37;
/** struct clone_args up to `cgroup` (kernel 5.7) */
const CLONE_ARGS_SIZE = 88;

export interface CloneOptions {
  /** CLONE_NEW* and CLONE_PARENT; the exit signal is SIGCHLD unless CLONE_PARENT takes the caller's own. */
  flags: bigint;
  /** A cgroup v2 directory to be born in (kernel 5.7). */
  cgroup: number | null;
  /** Whether a pidfd of the child is wanted. */
  pidfd: boolean;
}

/** The child's pid (and pidfd) in the parent, pid 0 in the child. */
export function clone(options: CloneOptions): { pid: number; pidfd: Fd | null } {
  const args = new BigInt64Array(CLONE_ARGS_SIZE / 8);
  const pidfd = new Int32Array(1);
  args[0] = options.flags | (options.pidfd ? BigInt(CLONE_PIDFD) : 0n);
  if (options.pidfd) args[1] = BigInt(door().address(new Uint8Array(pidfd.buffer)));
  // With CLONE_PARENT the kernel refuses another exit signal than 0 and uses the caller's.
  args[4] = (options.flags & BigInt(CLONE_PARENT)) === 0n ? BigInt(SIGCHLD) : 0n;
  if (options.cgroup !== null) {
    args[0] |= CLONE_INTO_CGROUP;
    args[10] = BigInt(options.cgroup);
  }
  const pid = must("clone", "", door().syscall(nr.SYS_clone3, args, CLONE_ARGS_SIZE));
  return { pid, pidfd: options.pidfd && pid !== 0 ? new Fd(pidfd[0]!) : null };
}

/** A plain copy of this process: 0 in the child. */
export function fork(): number {
  return must("fork", "", door().syscall(nr.SYS_clone, SIGCHLD, null, null, null, null));
}

/** A copy of this process that does `work` and ends: 0, or 1 when it failed. Whatever happens, it does not go on as its
 *  maker, and it does not outlive it. The pid. */
export function forkTo(work: () => void): number {
  const pid = fork();
  if (pid !== 0) return pid;
  let code = 1;
  try {
    setParentDeathSignal(9 /* SIGKILL */);
    work();
    code = 0;
  } catch {
    // The exit code says it.
  }
  return exit(code);
}

/** NUL-terminated strings and the NULL-terminated array of their addresses, kept alive together. */
export function pointerArray(texts: readonly string[]): { pointers: BigInt64Array; keep: Uint8Array } {
  const encoded = texts.map((text) => door().encode(text));
  const keep = new Uint8Array(encoded.reduce((sum, bytes) => sum + bytes.length + 1, 1));
  const pointers = new BigInt64Array(texts.length + 1);
  const base = door().address(keep);
  let at = 0;
  encoded.forEach((bytes, index) => {
    if (bytes.includes(0)) throw new TypeError("an argument contains a NUL byte");
    keep.set(bytes, at);
    pointers[index] = BigInt(base + at);
    at += bytes.length + 1;
  });
  return { pointers, keep };
}

/** Returns only on failure, with the errno. */
export function execve(path: string, args: readonly string[], env: readonly string[]): number {
  const argv = pointerArray(args);
  const envp = pointerArray(env);
  return -door().syscall(nr.SYS_execve, path, argv.pointers, envp.pointers);
}

/** Ends the process at once: no jobs, no handlers. */
export function exit(code: number): never {
  for (;;) door().syscall(nr.SYS_exit_group, code);
}

export interface Exit {
  pid: number;
  /** The exit code, or 128 + the signal that ended the process. */
  code: number;
  signal: number | null;
}

/** Waits for a child (`pid`, or -1 for any); null when WNOHANG finds none ended, or there is no child at all. */
export function waitChild(pid: number, options = 0): Exit | null {
  const status = new Int32Array(1);
  const result = retrying(nr.SYS_wait4, pid, status, options, null);
  if (result === 0 || result === -ECHILD) return null;
  must("wait4", `${pid}`, result);
  const signal = status[0]! & 0x7f;
  return signal === 0
    ? { pid: result, code: (status[0]! >> 8) & 0xff, signal: null }
    : { pid: result, code: 128 + signal, signal };
}

export function processId(): number {
  return door().syscall(nr.SYS_getpid);
}

export function parentId(): number {
  return door().syscall(nr.SYS_getppid);
}

export function effectiveUser(): number {
  return door().syscall(nr.SYS_geteuid);
}

export function effectiveGroup(): number {
  return door().syscall(nr.SYS_getegid);
}

/** Sets the thread's name, at most 15 bytes: what `ps -o comm` shows. */
export function setName(name: string): void {
  door().syscall(nr.SYS_prctl, PR_SET_NAME, name, 0, 0, 0);
}

export function setParentDeathSignal(signal: number): void {
  must("prctl", "PR_SET_PDEATHSIG", door().syscall(nr.SYS_prctl, PR_SET_PDEATHSIG, signal, 0, 0, 0));
}

export function setDumpable(on: boolean): void {
  must("prctl", "PR_SET_DUMPABLE", door().syscall(nr.SYS_prctl, PR_SET_DUMPABLE, on ? 1 : 0, 0, 0, 0));
}

export function setChildSubreaper(): void {
  must("prctl", "PR_SET_CHILD_SUBREAPER", door().syscall(nr.SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

export function isChildSubreaper(): boolean {
  const flag = new Int32Array(1);
  must("prctl", "PR_GET_CHILD_SUBREAPER", door().syscall(nr.SYS_prctl, PR_GET_CHILD_SUBREAPER, flag, 0, 0, 0));
  return flag[0] !== 0;
}

export function newSession(): void {
  must("setsid", "", door().syscall(nr.SYS_setsid));
}

export function openPidfd(pid: number): Fd {
  return new Fd(must("pidfd_open", `${pid}`, door().syscall(nr.SYS_pidfd_open, pid, 0)));
}

export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  must("getrandom", "", retrying(nr.SYS_getrandom, bytes, length, 0));
  return bytes;
}

/** Sleeps the whole process; for the rare place that may block. */
export function pause(milliseconds: number): void {
  const time = BigInt64Array.of(
    BigInt(Math.trunc(milliseconds / 1000)),
    BigInt(Math.round((milliseconds % 1000) * 1e6)),
  );
  while (door().syscall(nr.SYS_nanosleep, time, time) === -EINTR);
}

// include/uapi/linux/prctl.h, since Linux 5.14
const PR_SCHED_CORE = 62;
const PR_SCHED_CORE_CREATE = 1;

/** From now on this process and its children share a processor core with each other only. */
export function takeCores(): void {
  must("prctl", "PR_SCHED_CORE", door().syscall(nr.SYS_prctl, PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, 0, 0));
}
