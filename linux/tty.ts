// Terminals: size, raw mode, pseudo-terminal pairs. struct termios and ioctl numbers of x86_64.

import { door } from "./door.ts";
import { ENOTTY, must } from "./errno.ts";
import { Fd, O_NOCTTY, O_RDWR, open } from "./fd.ts";
import * as nr from "./numbers.ts";

const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TIOCSCTTY = 0x540e;
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const TIOCGPTN = 0x80045430;
const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;
/** u32 iflag, oflag, cflag, lflag; u8 line; u8 cc[19] */
const TERMIOS_SIZE = 36;

export interface WindowSize {
  columns: number;
  rows: number;
}

export function isTerminal(fd: number): boolean {
  return door().syscall(nr.SYS_ioctl, fd, TCGETS, new Uint8Array(TERMIOS_SIZE)) === 0;
}

/** Null when the descriptor is no terminal. */
export function windowSize(fd: number): WindowSize | null {
  const size = new Uint16Array(4);
  const result = door().syscall(nr.SYS_ioctl, fd, TIOCGWINSZ, new Uint8Array(size.buffer));
  if (result === -ENOTTY) return null;
  must("ioctl", "TIOCGWINSZ", result);
  return { rows: size[0]!, columns: size[1]! };
}

export function setWindowSize(fd: number, size: WindowSize): void {
  const words = Uint16Array.of(size.rows, size.columns, 0, 0);
  must("ioctl", "TIOCSWINSZ", door().syscall(nr.SYS_ioctl, fd, TIOCSWINSZ, new Uint8Array(words.buffer)));
}

/** Raw mode as cfmakeraw makes it, until disposed; null when the descriptor is no terminal. */
export function rawMode(fd: number): Disposable | null {
  const before = new Uint8Array(TERMIOS_SIZE);
  if (door().syscall(nr.SYS_ioctl, fd, TCGETS, before) !== 0) return null;
  const raw = before.slice();
  const view = new DataView(raw.buffer);
  const clear = (at: number, bits: number) => view.setUint32(at, view.getUint32(at, true) & ~bits, true);
  // IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON
  clear(0, 0o1 | 0o2 | 0o10 | 0o40 | 0o100 | 0o200 | 0o400 | 0o2000);
  clear(4, 0o1); // OPOST
  clear(8, 0o60 | 0o400); // CSIZE PARENB
  view.setUint32(8, view.getUint32(8, true) | 0o60, true); // CS8
  clear(12, 0o1 | 0o2 | 0o10 | 0o100 | 0o100000); // ISIG ICANON ECHO ECHONL IEXTEN
  raw[17 + 6] = 1; // VMIN
  raw[17 + 5] = 0; // VTIME
  must("ioctl", "TCSETS", door().syscall(nr.SYS_ioctl, fd, TCSETS, raw));
  return { [Symbol.dispose]: () => void door().syscall(nr.SYS_ioctl, fd, TCSETS, before) };
}

/** Turns newline translation on output off (ONLCR), as the original does for a console it forwards. */
export function clearOnlcr(fd: number): void {
  const state = new Uint8Array(TERMIOS_SIZE);
  must("ioctl", "TCGETS", door().syscall(nr.SYS_ioctl, fd, TCGETS, state));
  const view = new DataView(state.buffer);
  view.setUint32(4, view.getUint32(4, true) & ~0o4, true);
  must("ioctl", "TCSETS", door().syscall(nr.SYS_ioctl, fd, TCSETS, state));
}

/** A new pseudo-terminal of the devpts behind `ptmx`. The peer is opened through the master (TIOCGPTPEER, kernel 4.13),
 *  never by its path, which a container could have swapped. */
export function openPty(ptmx = "/dev/ptmx"): { master: Fd; peer: Fd; index: number } {
  const master = open(ptmx, O_RDWR | O_NOCTTY);
  const number = new Int32Array(1);
  must("ioctl", "TIOCSPTLCK", door().syscall(nr.SYS_ioctl, master.number, TIOCSPTLCK, new Int32Array(1)));
  must("ioctl", "TIOCGPTN", door().syscall(nr.SYS_ioctl, master.number, TIOCGPTN, number));
  const peer = door().syscall(nr.SYS_ioctl, master.number, TIOCGPTPEER, O_RDWR | O_NOCTTY | 0o2000000);
  return { master, peer: new Fd(must("ioctl", "TIOCGPTPEER", peer)), index: number[0]! };
}

/** Makes the terminal the controlling one of this session's leader. */
export function takeControl(fd: number): void {
  must("ioctl", "TIOCSCTTY", door().syscall(nr.SYS_ioctl, fd, TIOCSCTTY, 0));
}
