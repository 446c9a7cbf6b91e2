// Signals: names and numbers (x86_64), masks, a descriptor that delivers them, and the reset before execve.

import { door } from "./door.ts";
import { EINTR, must } from "./errno.ts";
import { Fd, read } from "./fd.ts";
import * as nr from "./numbers.ts";

/** Index is the number; 0 is unused. Real-time signals are SIGRTMIN+n from 34 on. */
export const SIGNAL_NAMES = [
  "",
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
] as const;
export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGKILL = 9;
export const SIGPIPE = 13;
export const SIGTERM = 15;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTTIN = 21;
export const SIGTTOU = 22;
export const SIGWINCH = 28;
const SIGRTMIN = 34;
const SIGRTMAX = 64;

const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
const SIG_SETMASK = 2;
const MASK_SIZE = 8;
const SFD_CLOEXEC = 0o2000000;
const SFD_NONBLOCK = 0o4000;
/** struct signalfd_siginfo */
const SIGINFO_SIZE = 128;

/** "TERM", "SIGTERM", "sigterm", "15", "RTMIN+1": the number, or null for what is none. */
export function parseSignal(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text) >= 1 && Number(text) <= SIGRTMAX ? Number(text) : null;
  const name = text.toUpperCase().replace(/^(SIG)?/, "SIG");
  const realtime = /^SIGRTM(IN|AX)([+-]\d+)?$/.exec(name);
  if (realtime !== null) {
    const number = (realtime[1] === "IN" ? SIGRTMIN : SIGRTMAX) + Number(realtime[2] ?? 0);
    return number >= SIGRTMIN && number <= SIGRTMAX ? number : null;
  }
  const known: readonly string[] = SIGNAL_NAMES;
  const alias: Record<string, string> = { SIGIOT: "SIGABRT", SIGCLD: "SIGCHLD", SIGPOLL: "SIGIO" };
  const number = known.indexOf(alias[name] ?? name);
  return number > 0 ? number : null;
}

function maskOf(signals: readonly number[]): BigInt64Array {
  const halves = new Int32Array(2);
  for (const signal of signals) {
    if (signal <= 32) halves[0]! |= 1 << (signal - 1);
    else halves[1]! |= 1 << (signal - 33);
  }
  return new BigInt64Array(halves.buffer);
}

export function blockSignals(signals: readonly number[]): void {
  must("sigprocmask", "", door().syscall(nr.SYS_rt_sigprocmask, SIG_BLOCK, maskOf(signals), null, MASK_SIZE));
}

export function unblockSignals(signals: readonly number[]): void {
  must("sigprocmask", "", door().syscall(nr.SYS_rt_sigprocmask, SIG_UNBLOCK, maskOf(signals), null, MASK_SIZE));
}

/** struct kernel_sigaction: handler, flags, restorer, mask; handler 0 is the default, 1 ignore. */
export function setDisposition(signal: number, disposition: "default" | "ignore"): void {
  const action = BigInt64Array.of(disposition === "ignore" ? 1n : 0n, 0n, 0n, 0n);
  must("sigaction", `${signal}`, door().syscall(nr.SYS_rt_sigaction, signal, action, null, MASK_SIZE));
}

const SA_RESTORER = 0x04000000n;

/** These end the process although it is the first of its pid namespace, whose default dispositions the kernel skips. */
export function endOn(signals: readonly number[]): void {
  // x86-64 delivers to no handler without a restorer; this one never returns to it.
  const ender = BigInt(door().ender);
  const action = BigInt64Array.of(ender, SA_RESTORER, ender, 0n);
  for (const signal of signals) {
    must("sigaction", `${signal}`, door().syscall(nr.SYS_rt_sigaction, signal, action, null, MASK_SIZE));
  }
  unblockSignals(signals);
}

/** Blocks all signals but the named ones; the mask before it, for `restoreMask`. */
export function blockAllBut(open: readonly number[]): BigInt64Array {
  const before = new BigInt64Array(1);
  const mask = BigInt64Array.of(~maskOf(open)[0]!);
  must("sigprocmask", "", door().syscall(nr.SYS_rt_sigprocmask, SIG_SETMASK, mask, before, MASK_SIZE));
  return before;
}

export function restoreMask(mask: BigInt64Array): void {
  must("sigprocmask", "", door().syscall(nr.SYS_rt_sigprocmask, SIG_SETMASK, mask, null, MASK_SIZE));
}

/** Ignores the signal; the disposition before it, for `restoreDisposition`. */
export function ignoreSignal(signal: number): BigInt64Array {
  const before = new BigInt64Array(4);
  const action = BigInt64Array.of(1n, 0n, 0n, 0n);
  must("sigaction", `${signal}`, door().syscall(nr.SYS_rt_sigaction, signal, action, before, MASK_SIZE));
  return before;
}

export function restoreDisposition(signal: number, action: BigInt64Array): void {
  must("sigaction", `${signal}`, door().syscall(nr.SYS_rt_sigaction, signal, action, null, MASK_SIZE));
}

/** Sleeps until one of the blocked signals outside of `open` arrives, and takes it. */
export function waitSignal(open: readonly number[]): number {
  const mask = BigInt64Array.of(~maskOf(open)[0]!);
  for (;;) {
    const result = door().syscall(nr.SYS_rt_sigtimedwait, mask, null, null, MASK_SIZE);
    if (result !== -EINTR) return must("sigwait", "", result);
  }
}

/** All dispositions to the default and an empty mask, as a program expects to find them: an ignored SIGPIPE (which
 *  Rust's start sets) and a blocked SIGCHLD would be inherited over execve. */
export function resetSignals(): void {
  const action = new BigInt64Array(4);
  for (let signal = 1; signal <= SIGRTMAX; signal++) {
    if (signal !== SIGKILL && signal !== SIGSTOP) door().syscall(nr.SYS_rt_sigaction, signal, action, null, MASK_SIZE);
  }
  must("sigprocmask", "", door().syscall(nr.SYS_rt_sigprocmask, SIG_SETMASK, maskOf([]), null, MASK_SIZE));
}

/** A descriptor that becomes readable when one of the (blocked) signals arrives. Non-blocking. */
export function openSignalFd(signals: readonly number[], replacing: Fd | null = null): Fd {
  const flags = SFD_CLOEXEC | SFD_NONBLOCK;
  const old = replacing === null ? -1 : replacing.number;
  const fd = must("signalfd", "", door().syscall(nr.SYS_signalfd4, old, maskOf(signals), MASK_SIZE, flags));
  return replacing ?? new Fd(fd);
}

export interface SignalInfo {
  signal: number;
  /** The sender's or the child's pid. */
  pid: number;
}

/** All that have arrived by now. */
export function readSignals(fd: number): SignalInfo[] {
  const arrived: SignalInfo[] = [];
  const buffer = new Uint8Array(SIGINFO_SIZE * 8);
  const view = new DataView(buffer.buffer);
  for (let got = read(fd, buffer); got !== null && got > 0; got = read(fd, buffer)) {
    for (let at = 0; at + SIGINFO_SIZE <= got; at += SIGINFO_SIZE) {
      arrived.push({ signal: view.getUint32(at, true), pid: view.getUint32(at + 12, true) });
    }
  }
  return arrived;
}

const SENTENCES: Readonly<Record<number, string>> = {
  1: "Hangup",
  2: "Interrupt",
  3: "Quit",
  4: "Illegal instruction",
  5: "Trace/breakpoint trap",
  6: "Aborted",
  7: "Bus error",
  8: "Floating point exception",
  9: "Killed",
  10: "User defined signal 1",
  11: "Segmentation fault",
  12: "User defined signal 2",
  13: "Broken pipe",
  14: "Alarm clock",
  15: "Terminated",
  16: "Stack fault",
  17: "Child exited",
  18: "Continued",
  19: "Stopped (signal)",
  20: "Stopped",
  21: "Stopped (tty input)",
  22: "Stopped (tty output)",
  23: "Urgent I/O condition",
  24: "CPU time limit exceeded",
  25: "File size limit exceeded",
  26: "Virtual timer expired",
  27: "Profiling timer expired",
  28: "Window changed",
  29: "I/O possible",
  30: "Power failure",
  31: "Bad system call",
};

/** As strsignal(3) puts it. */
export function signalSentence(signal: number): string {
  return (
    SENTENCES[signal] ?? (signal >= SIGRTMIN ? `Real-time signal ${signal - SIGRTMIN}` : `Unknown signal ${signal}`)
  );
}

/** By descriptor, so that no other process of the same number is meant. False when it has ended. */
export function killByPidfd(pidfd: number, signal: number): boolean {
  const result = door().syscall(nr.SYS_pidfd_send_signal, pidfd, signal, null, 0);
  if (result === -3 /* ESRCH */) return false;
  must("pidfd_send_signal", `signal ${signal}`, result);
  return true;
}

/** False when there is no such process. */
export function kill(pid: number, signal: number): boolean {
  const result = door().syscall(nr.SYS_kill, pid, signal);
  if (result === -3 /* ESRCH */) return false;
  must("kill", `${pid}`, result);
  return true;
}
