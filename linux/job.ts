// Process groups and the terminal's foreground group: job control, as an init or a shell does it.

import { door } from "./door.ts";
import { must } from "./errno.ts";
import * as nr from "./numbers.ts";

const TIOCSPGRP = 0x5410;

/** Makes the calling process the leader of a group of its own. */
export function moveToOwnGroup(): void {
  must("setpgid", "", door().syscall(nr.SYS_setpgid, 0, 0));
}

export function processGroup(): number {
  return must("getpgid", "", door().syscall(nr.SYS_getpgid, 0));
}

/** tcsetpgrp: the group receives the terminal's signals and may read from it. */
export function setForegroundGroup(terminal: number, group: number): void {
  must("tcsetpgrp", "", door().syscall(nr.SYS_ioctl, terminal, TIOCSPGRP, Int32Array.of(group)));
}
