// Readiness, as sd_notify(3) tells it: a container's program says READY=1 to a socket of its own, and the runtime hands
// that on to whoever watches the runtime (NOTIFY_SOCKET), with the pid to watch from then on.
//
//     program ─▶ <id>/notify/notify.sock, bound at /run/notify ─▶ runc ─▶ NOTIFY_SOCKET: READY, MAINPID, BARRIER

import { monotonicMilliseconds } from "../linux/clock.ts";
import { door } from "../linux/door.ts";
import { EAGAIN, must, retrying } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { AF_UNIX, connect, SOCK_DGRAM, SOCK_NONBLOCK, sendDescriptor, socket, unixAddress } from "../linux/socket.ts";
import type { Paths } from "./layout.ts";
import type { MountSpec } from "./spec/schema.ts";

const PLACE = "/run/notify";
const NAME = "notify.sock";
const DATAGRAM_LIMIT = 4096;
const POLLIN = 1;
/** How often a silent socket is taken as a reason to look whether the process still lives, in milliseconds. */
const LOOK_EACH = 100;
/** For a watcher that does not know barriers, in milliseconds. */
const BARRIER_WAIT = 30_000;

/** What the container needs for it. */
export const READINESS_ENVIRONMENT = `NOTIFY_SOCKET=${PLACE}/${NAME}`;

export function readinessMount(paths: Paths): MountSpec {
  const options = ["bind", "nosuid", "noexec", "nodev", "ro"];
  return { ...{ destination: PLACE, type: "", source: paths.notify, options }, uidMappings: [], gidMappings: [] };
}

export function makeReadinessDirectory(paths: Paths): void {
  fs.makeDirectory(paths.notify, 0o755);
}

/** The container's socket, for the one who waits, and the place where the news goes. */
export class Readiness implements Disposable {
  readonly #own: fs.Fd;
  readonly #host: string;

  constructor(paths: Paths, host: string) {
    this.#host = host;
    this.#own = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);
    // By descriptor: the path itself may be longer than an address can be.
    using directory = fs.open(paths.notify, fs.O_PATH | fs.O_DIRECTORY);
    const path = `/proc/self/fd/${directory.number}/${NAME}`;
    const address = unixAddress(path);
    must("bind", paths.notify, door().syscall(nr.SYS_bind, this.#own.number, address, address.length));
    fs.chmod(path, 0o777);
  }

  get descriptor(): number {
    return this.#own.number;
  }

  /** Reads what has come; true once the program was ready and that has been handed on. */
  handOn(pid: number): boolean {
    const buffer = new Uint8Array(DATAGRAM_LIMIT);
    for (;;) {
      const got = retrying(nr.SYS_recvfrom, this.#own.number, buffer, buffer.length, 0, null, null);
      if (got === -EAGAIN) return false;
      must("recv", NAME, got);
      const ready = door()
        .decode(buffer, 0, got)
        .split("\n")
        .find((line) => line.startsWith("READY="));
      if (ready === undefined) continue;
      tellHost(this.#host, ready, pid);
      return true;
    }
  }

  /** Until the program is ready, or `lives` says that it has gone. */
  wait(pid: number, lives: () => boolean): void {
    while (!this.handOn(pid)) {
      // struct pollfd: int fd, short events, short revents
      door().syscall(nr.SYS_poll, Int32Array.of(this.descriptor, POLLIN), 1, LOOK_EACH);
      if (!lives() && !this.handOn(pid)) return;
    }
  }

  [Symbol.dispose](): void {
    this.#own.close();
  }
}

function tellHost(host: string, ready: string, pid: number): void {
  using client = socket(AF_UNIX, SOCK_DGRAM);
  connect(client.number, hostAddress(host), host);
  for (const line of [ready, `MAINPID=${pid}`]) fs.writeAll(client.number, door().encode(`${line}\n`));
  awaitBarrier(client.number);
}

/** A service manager may give an abstract name, "@…". */
function hostAddress(host: string): Uint8Array {
  const address = unixAddress(host);
  if (!host.startsWith("@")) return address;
  address[2] = 0;
  return address.subarray(0, address.length - 1);
}

/** The other side closes what it gets once it has dealt with all that came before. */
function awaitBarrier(client: number): void {
  const { read, write } = fs.pipe();
  using reader = read;
  sendDescriptor(client, write.number, "BARRIER=1");
  write.close();
  const until = monotonicMilliseconds() + BARRIER_WAIT;
  const left = () => Math.max(0, Math.ceil(until - monotonicMilliseconds()));
  while (left() > 0 && door().syscall(nr.SYS_poll, Int32Array.of(reader.number, POLLIN), 1, left()) < 0);
}
