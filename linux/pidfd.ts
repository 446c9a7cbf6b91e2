// Processes that need not be children: who a pid is, when one ends, and how it ended.

import { door } from "./door.ts";
import { Fd, readTextIfThere } from "./fd.ts";
import { SYS_ioctl, SYS_pidfd_open } from "./numbers.ts";

/** _IOWR(0xFF, 11, struct pidfd_info) with the 64 bytes of its first version (kernel 6.13). */
const PIDFD_GET_INFO = 0xc040ff0b;
const INFO_SIZE = 64;
/** Kernel 6.15: the wait status, from when the process was waited for. */
const PIDFD_INFO_EXIT = 8n;
const EXIT_CODE_OFFSET = 60;
const STAT_LIMIT = 4096;
/** In /proc/<pid>/stat, counted from the field after the name (proc(5) counts it as the third). */
const STAT_STATE = 0;
const STAT_START_TIME = 19;
const STAT_EXIT_CODE = 49;

/** Null when there is no such process. Throws nothing. */
export function openPidfdIfThere(pid: number): Fd | null {
  const result = door().syscall(SYS_pidfd_open, pid, 0);
  return result < 0 ? null : new Fd(result);
}

export interface ProcessLife {
  name: string;
  /** One letter of proc(5): R S D Z T … */
  letter: string;
  /** Clock ticks since boot. */
  start: number;
}

/** Null when there is no such process. */
export function processLife(pid: number): ProcessLife | null {
  const stat = pid <= 0 ? null : statOf(pid);
  if (stat === null) return null;
  const { name, fields } = stat;
  return { name, letter: fields[STAT_STATE] ?? "", start: Number(fields[STAT_START_TIME]) };
}

/** Clock ticks since boot at which the process began: with it a pid names one process for ever. Null: no process. */
export function startTime(pid: number): string | null {
  return statOf(pid)?.fields[STAT_START_TIME] ?? null;
}

/** Whether that process is there and has not ended. */
export function isRunning(process: { pid: number; startTime: string }): boolean {
  return startTime(process.pid) === process.startTime && zombieStatus(process.pid, process.startTime) === null;
}

/** The wait status of a process that has ended and that nobody has waited for yet; null when it is not that. */
export function zombieStatus(pid: number, started: string): number | null {
  const fields = statOf(pid)?.fields;
  if (fields === undefined || fields[STAT_START_TIME] !== started) return null;
  if (fields[STAT_STATE] !== "Z" && fields[STAT_STATE] !== "X") return null;
  const status = Number(fields[STAT_EXIT_CODE]);
  return Number.isInteger(status) ? status : null;
}

/** The wait status of a process that somebody has waited for; null while nobody has, and before kernel 6.15. */
export function pidfdStatus(pidfd: number): number | null {
  const info = new BigInt64Array(INFO_SIZE / 8);
  info[0] = PIDFD_INFO_EXIT;
  const bytes = new Uint8Array(info.buffer);
  if (door().syscall(SYS_ioctl, pidfd, PIDFD_GET_INFO, bytes) < 0) return null;
  if ((info[0] & PIDFD_INFO_EXIT) === 0n) return null;
  return new DataView(info.buffer).getInt32(EXIT_CODE_OFFSET, true);
}

/** A wait status as shells tell it: the exit code, or 128 + the signal. */
export function exitCodeOf(status: number): number {
  const signal = status & 0x7f;
  return signal === 0 ? (status >> 8) & 0xff : 128 + signal;
}

interface ProcessStat {
  name: string;
  /** From the one after the name on. */
  fields: string[];
}

function statOf(pid: number): ProcessStat | null {
  const text = readTextIfThere(`/proc/${pid}/stat`, STAT_LIMIT);
  if (text === null) return null;
  // The name in parentheses may hold anything, parentheses included.
  const end = text.lastIndexOf(")");
  return { name: text.slice(text.indexOf("(") + 1, end), fields: text.slice(end + 2).split(" ") };
}
