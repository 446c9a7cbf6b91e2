// A small static program for tests of the runtime, in a container or beside it: it makes one system call, or is the
// listener that a seccomp filter asks. Built by test/probe/build.ts.
//
//     probe call NUMBER ARGUMENT…     prints the raw result
//     probe listen PATH ERRNO         refuses mkdir with ERRNO and lets every other call go on; prints what it is told
//     probe watch PATH                is the service manager behind NOTIFY_SOCKET: prints each datagram
//     probe pidfd PATH                takes pidfds and prints the pids that they mean
//     probe console PATH              takes a terminal's master, prints its name and what it says
//     probe send PATH TEXT            one datagram, as sd_notify(3) sends it

import { type Door, door } from "../../linux/door.ts";
import { must } from "../../linux/errno.ts";
import { type Fd, read, readText, writeAll } from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";
import {
  AF_UNIX,
  accept,
  connect,
  listenUnix,
  receiveDescriptor,
  SOCK_DGRAM,
  socket,
  unixAddress,
} from "../../linux/socket.ts";
import { openDoor } from "../../runtime/quickjs/runtime.ts";

const POLLIN = 1;
// include/uapi/linux/seccomp.h
const SECCOMP_IOCTL_NOTIF_RECV = 0xc0502100;
const SECCOMP_IOCTL_NOTIF_SEND = 0xc0182101;
const SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1;

export function main(given: Door): number {
  openDoor(given);
  const [, command, first = "", ...rest] = given.args;
  if (command === "call") {
    const [a = 0, b = 0, c = 0] = rest.map(Number);
    print(String(door().syscall(Number(first), a, b, c)));
  } else if (command === "listen") listen(first, Number(rest[0]));
  else if (command === "watch") watch(first);
  else if (command === "pidfd") takePidfds(first);
  else if (command === "console") takeConsole(first);
  else if (command === "send") send(first, rest[0] ?? "");
  return 0;
}

function print(line: string): void {
  writeAll(1, door().encode(`${line}\n`));
}

function send(path: string, text: string): void {
  using client = socket(AF_UNIX, SOCK_DGRAM);
  connect(client.number, unixAddress(path), path);
  writeAll(client.number, door().encode(text));
}

function watch(path: string): void {
  using server = socket(AF_UNIX, SOCK_DGRAM);
  const address = unixAddress(path);
  must("bind", path, door().syscall(nr.SYS_bind, server.number, address, address.length));
  for (;;) {
    const told = receiveDescriptor(server.number)!;
    print(JSON.stringify(told.text));
    told.descriptor?.close();
  }
}

function takePidfds(path: string): void {
  using server = listenUnix(path, 0o600);
  for (;;) {
    using pidfd = takeOne(server.number).descriptor!;
    print(/^Pid:\t(\d+)$/m.exec(readText(`/proc/self/fdinfo/${pidfd.number}`))![1]!);
  }
}

function takeConsole(path: string): void {
  using server = listenUnix(path, 0o600);
  const told = takeOne(server.number);
  print(JSON.stringify(told.text));
  using master = told.descriptor!;
  const buffer = new Uint8Array(4096);
  for (let got = read(master.number, buffer); got !== null && got > 0; got = read(master.number, buffer)) {
    writeAll(1, buffer.subarray(0, got));
  }
}

/** The message of one connection, waited for. */
function takeOne(server: number): { text: string; descriptor: Fd | null } {
  door().syscall(nr.SYS_poll, Int32Array.of(server, POLLIN), 1, -1);
  using connection = accept(server, 0)!;
  return receiveDescriptor(connection.number)!;
}

function listen(path: string, errno: number): void {
  using server = listenUnix(path, 0o600);
  const watched = [server.number];
  for (;;) {
    // struct pollfd: int fd, short events, short revents
    const words = new Int32Array(watched.length * 2);
    for (const [index, fd] of watched.entries()) words.set([fd, POLLIN], index * 2);
    door().syscall(nr.SYS_poll, words, watched.length, -1);
    watched.forEach((fd, index) => {
      const ready = words[index * 2 + 1]! >> 16;
      if (ready === 0) return;
      if (fd === server.number) watched.push(takeOver(fd));
      else if ((ready & POLLIN) === 0 || !answer(fd, errno)) watched.splice(watched.indexOf(fd), 1);
    });
  }
}

/** The notification descriptor of one more filter. */
function takeOver(server: number): number {
  using connection = accept(server, 0)!;
  const told = receiveDescriptor(connection.number)!;
  print(told.text);
  return told.descriptor!.release();
}

function answer(fd: number, errno: number): boolean {
  // struct seccomp_notif: u64 id, u32 pid, u32 flags, struct seccomp_data (int nr first)
  const asked = new Uint8Array(80);
  if (door().syscall(nr.SYS_ioctl, fd, SECCOMP_IOCTL_NOTIF_RECV, asked) < 0) return false;
  const view = new DataView(asked.buffer);
  const refused = view.getInt32(16, true) === nr.SYS_mkdir;
  // struct seccomp_notif_resp: u64 id, s64 val, s32 error, u32 flags
  const reply = new DataView(new ArrayBuffer(24));
  reply.setBigUint64(0, view.getBigUint64(0, true), true);
  reply.setInt32(16, refused ? -errno : 0, true);
  reply.setUint32(20, refused ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE, true);
  must("ioctl", "SECCOMP_IOCTL_NOTIF_SEND", door().syscall(nr.SYS_ioctl, fd, SECCOMP_IOCTL_NOTIF_SEND, reply.buffer));
  return true;
}
