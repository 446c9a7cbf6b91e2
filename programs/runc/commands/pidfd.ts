// --pidfd-socket: a pidfd of the container's process, for a supervisor that is not its parent.

import { openPidfd } from "../../../linux/process.ts";
import { connectUnix, sendDescriptor } from "../../../linux/socket.ts";

export function sendPidfd(path: string, pid: number): void {
  if (path === "") return;
  using socket = connectUnix(path);
  using pidfd = openPidfd(pid);
  sendDescriptor(socket.number, pidfd.number, `${pid}`);
}
