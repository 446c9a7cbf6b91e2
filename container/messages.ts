// What a new container process (the child, "runc init") and the one who makes it (the parent) say to each other, over a
// pair of SOCK_SEQPACKET sockets: one JSON object per packet.
//
//     parent                          child
//       │ ◀────────── born ──────────── │   only with a helper between them (birth.ts, exec.ts), which names the child
//       │ ── go ──────────────────────▶ │   (birth.ts)
//       │ ◀────────── map ───────────── │   only with a new user namespace: write my id mappings
//       │ ── go ──────────────────────▶ │
//       │        (makes cgroups)        │   (mounts)
//       │ ── go ──────────────────────▶ │   the cgroups are made: join them; not when that came before the clone;
//       │                               │   before `map` where systemd moves the child
//       │        (sets limits, record)  │
//       │ ◀────────── source ────────── │   only in a user namespace: a mount's source that it cannot open (sources.ts)
//       │ ── descriptor ──────────────▶ │
//       │ ◀────────── hooks ─────────── │   only with prestart or createRuntime hooks (run them now) or netDevices
//       │ ── go ──────────────────────▶ │
//       │ ◀────────── ready ─────────── │   all but the last steps are done; the limits may be lowered
//       │ ── go ──────────────────────▶ │   the state is on disk
//       │ ◀───────── listener ───────── │   only with a filter that asks one: it is loaded, this is its descriptor
//       │ ── go ──────────────────────▶ │   the parent has a copy
//       │                               │   create: opens exec.fifo and waits for `start`
//       ┴ ◀── failed, or end of file ── ┴   end of file: the program runs (both ends are close-on-exec)
//
// A parent that dies shows as end of file to the child, which then ends: nothing half made goes on.

import { Failure } from "../base/errors.ts";
import { formatJson } from "../base/json.ts";
import { door } from "../linux/door.ts";
import { ECONNRESET, must, retrying } from "../linux/errno.ts";
import type { Fd } from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { socketPair } from "../linux/socket.ts";

const SOCK_SEQPACKET = 5;
const MSG_NOSIGNAL = 0x4000;
/** Bytes of one message; a failure's sentence is cut to fit. */
const MESSAGE_LIMIT = 8 << 10;

export type ChildMessage =
  | { kind: "map" }
  | { kind: "hooks" }
  /** Its number in config.json; the answer is a descriptor, or text that says why there is none. */
  | { kind: "source"; mount: number }
  | { kind: "ready" }
  /** From the helper between parent and child that joins namespaces: the child's pid as the parent sees it. */
  | { kind: "born"; pid: number }
  | { kind: "listener"; descriptor: number }
  | { kind: "warning"; message: string }
  /** A stage reached; only when the parent asked for it. */
  | { kind: "debug"; message: string }
  /** `early`: before "ready", which callers word differently. */
  | { kind: "failed"; message: string; early: boolean };

export type ParentMessage = { kind: "go" };

export function openDialogue(): { parent: Fd; child: Fd } {
  const [parent, child] = socketPair(SOCK_SEQPACKET);
  return { parent, child };
}

export function say(fd: number, message: ChildMessage | ParentMessage): void {
  const bytes = bytesOf(message);
  must("send", "", retrying(nr.SYS_sendto, fd, bytes, bytes.length, MSG_NOSIGNAL, null, 0));
}

/** By the child under its filter, which may know write and nothing newer. A parent that is gone ends it (SIGPIPE). */
export function sayPlainly(fd: number, message: ChildMessage): void {
  const bytes = bytesOf(message);
  must("write", "", retrying(nr.SYS_write, fd, bytes, bytes.length));
}

function bytesOf(message: ChildMessage | ParentMessage): Uint8Array {
  const bytes = door().encode(formatJson(message));
  if (bytes.length <= MESSAGE_LIMIT) return bytes;
  return door().encode(formatJson({ ...message, message: "the reason is too long" }));
}

/** The child's wait under its filter: any packet is the go. */
export function awaitGoPlainly(fd: number): void {
  const buffer = new Uint8Array(MESSAGE_LIMIT);
  if (retrying(nr.SYS_read, fd, buffer, buffer.length) <= 0) {
    throw new Failure("aborted", "the creating process is gone");
  }
}

/** Null at end of file. */
export function hear<Message extends ChildMessage | ParentMessage>(fd: number): Message | null {
  const buffer = new Uint8Array(MESSAGE_LIMIT);
  const receive = () => retrying(nr.SYS_recvfrom, fd, buffer, buffer.length, 0, null, null);
  let got = receive();
  // A peer that ended without reading all we said resets; what it had said itself comes after that.
  if (got === -ECONNRESET) got = receive();
  must("recv", "", got);
  return got === 0 ? null : (JSON.parse(door().decode(buffer, 0, got)) as Message);
}

/** The child's wait for its parent; throws when that one is gone. */
export function awaitGo(fd: number): void {
  if (hear<ParentMessage>(fd) === null) throw new Failure("aborted", "the creating process is gone");
}
