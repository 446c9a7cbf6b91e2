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
import { EAGAIN, ECONNRESET, must, retrying } from "../linux/errno.ts";
import type { Fd } from "../linux/fd.ts";
import * as nr from "../linux/numbers.ts";
import { socketPair } from "../linux/socket.ts";

const SOCK_SEQPACKET = 5;
const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
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

/** The last words of a process that ends whether they are heard or not. Thrown on, a failure to say them would end up
 *  in the maker's own code, which the child has a copy of. */
export function sayAtLast(fd: number, message: ChildMessage): void {
  try {
    say(fd, message);
  } catch {
    // The parent is gone.
  }
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

/** Null at end of file; also, with MSG_DONTWAIT among `flags`, when nothing was said. */
export function hear<Message extends ChildMessage | ParentMessage>(fd: number, flags = 0): Message | null {
  const buffer = new Uint8Array(MESSAGE_LIMIT);
  // MSG_TRUNC: the packet's own length, also when it is longer than the buffer.
  const receive = () => retrying(nr.SYS_recvfrom, fd, buffer, buffer.length, MSG_TRUNC | flags, null, null);
  let got = receive();
  // A peer that ended without reading all we said resets; what it had said itself comes after that.
  if (got === -ECONNRESET) got = receive();
  if (got === 0 || (got === -EAGAIN && flags !== 0)) return null;
  must("recv", "", got);
  if (got > buffer.length) throw garbled(`of ${got} bytes`);
  return understood(door().decode(buffer, 0, got)) as Message;
}

/** What each kind must carry, by the result of typeof. */
const PARTS: Readonly<Record<(ChildMessage | ParentMessage)["kind"], Readonly<Record<string, string>>>> = {
  go: {},
  map: {},
  hooks: {},
  ready: {},
  born: { pid: "number" },
  source: { mount: "number" },
  listener: { descriptor: "number" },
  warning: { message: "string" },
  debug: { message: "string" },
  failed: { message: "string", early: "boolean" },
};

function understood(text: string): ChildMessage | ParentMessage {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw garbled("that is no JSON");
  }
  if (typeof value !== "object" || value === null) throw garbled("that is no object");
  const message = value as Record<string, unknown>;
  const kind = message["kind"];
  if (typeof kind !== "string" || !Object.hasOwn(PARTS, kind)) throw garbled("of no known kind");
  for (const [part, type] of Object.entries(PARTS[kind as keyof typeof PARTS])) {
    const fits = typeof message[part] === type && (type !== "number" || isCount(message[part]));
    if (!fits) throw garbled(`of kind ${kind} without its ${part}`);
  }
  return message as unknown as ChildMessage | ParentMessage;
}

/** A pid or another number from 0 on: a signal to a negative one would reach many. */
function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;
}

function garbled(what: string): Failure {
  return new Failure("internal", `a message ${what} came from the container's process`);
}

/** The child's wait for its parent; throws when that one is gone. */
export function awaitGo(fd: number): void {
  const message = hear<ParentMessage>(fd);
  if (message !== null && message.kind !== "go") throw new Failure("internal", `${message.kind} came instead of go`);
  if (message === null) throw new Failure("aborted", "the creating process is gone");
}
