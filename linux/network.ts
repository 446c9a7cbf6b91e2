// The one thing every network namespace needs, without netlink: its loopback interface up.

import { door } from "./door.ts";
import { must } from "./errno.ts";
import * as nr from "./numbers.ts";
import { AF_INET, SOCK_DGRAM, socket } from "./socket.ts";

const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
/** struct ifreq: a name of 16 bytes and a union. */
const IFREQ_SIZE = 40;

export function raiseLoopback(): void {
  using any = socket(AF_INET, SOCK_DGRAM);
  const request = new Uint8Array(IFREQ_SIZE);
  request.set(door().encode("lo"));
  const view = new DataView(request.buffer);
  must("ioctl", "SIOCGIFFLAGS lo", door().syscall(nr.SYS_ioctl, any.number, SIOCGIFFLAGS, request));
  view.setUint16(16, view.getUint16(16, true) | IFF_UP, true);
  must("ioctl", "SIOCSIFFLAGS lo", door().syscall(nr.SYS_ioctl, any.number, SIOCSIFFLAGS, request));
}
