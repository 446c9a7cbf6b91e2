// Stage: the container's terminal. The pair is made from the container's own devpts by descriptor, the master goes to
// whoever asked, the peer becomes the standard descriptors and /dev/console.

import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { EINVAL, EPERM, must } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import {
  attach,
  cloneTree,
  DEVPTS_SUPER_MAGIC,
  filesystemType,
  openInRoot,
  PROC_SUPER_MAGIC,
} from "../../linux/mount.ts";
import * as nr from "../../linux/numbers.ts";
import { sendDescriptor } from "../../linux/socket.ts";
import { setWindowSize, takeControl } from "../../linux/tty.ts";
import type { ProcessPlan } from "../plan.ts";
import { ensureTarget } from "./target.ts";

const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;

export interface ConsolePlace {
  /** The container's root. */
  root: number;
  devpts: number | null;
  /** Where the master is sent; its text is the peer's name, as the original sends it. */
  socket: number;
  /** Whether /dev/console is to be the terminal (a container's first process). */
  mountConsole: boolean;
}

export function setUpConsole(process: ProcessPlan, place: ConsolePlace): void {
  using ptmx =
    place.devpts === null
      ? openInRoot(place.root, "/dev/pts/ptmx", fs.O_RDWR | fs.O_NOCTTY)
      : openInRoot(place.devpts, "ptmx", fs.O_RDWR | fs.O_NOCTTY);
  if (filesystemType(ptmx.number) !== DEVPTS_SUPER_MAGIC) {
    throw new Failure("failed_precondition", "/dev/pts of the container is not a devpts: it has no terminal to give");
  }
  must("ioctl", "TIOCSPTLCK", door().syscall(nr.SYS_ioctl, ptmx.number, TIOCSPTLCK, new Int32Array(1)));
  const flags = fs.O_RDWR | fs.O_NOCTTY | fs.O_CLOEXEC;
  using peer = new fs.Fd(must("ioctl", "TIOCGPTPEER", door().syscall(nr.SYS_ioctl, ptmx.number, TIOCGPTPEER, flags)));
  const size = process.spec.consoleSize;
  if (size !== null) setWindowSize(ptmx.number, { columns: size.width, rows: size.height });
  // A terminal of an id that is not mapped stays the mapped root's.
  const owned = door().syscall(nr.SYS_fchown, peer.number, process.spec.user.uid, 0xffffffff);
  if (owned !== -EPERM && owned !== -EINVAL) must("fchown", "console", owned);
  if (place.mountConsole) {
    using target = ensureTarget(place.root, "/dev/console", "file");
    if (filesystemType(target.number) === PROC_SUPER_MAGIC) {
      throw new Failure("failed_precondition", "/dev/console of the container leads into /proc");
    }
    using tree = cloneTree(peer.number, "", false);
    attach(tree.number, target.number);
  }
  sendDescriptor(place.socket, ptmx.number, "/dev/ptmx");
  for (const standard of [0, 1, 2]) fs.duplicateTo(peer.number, standard);
  takeControl(0);
}
