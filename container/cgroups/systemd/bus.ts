// A connection to systemd: calls one after the other, and the ends of jobs, which systemd announces. The machine's
// systemd is asked over its private socket, which needs no bus daemon, else over the system bus; a user's over the
// session bus. Opened for a few calls and closed; used by scope.ts.

import { Failure } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import { EAGAIN, errnoOf } from "../../../linux/errno.ts";
import { type Fd, read, writeAll } from "../../../linux/fd.ts";
import * as nr from "../../../linux/numbers.ts";
import { pause } from "../../../linux/process.ts";
import { connectUnix } from "../../../linux/socket.ts";
import {
  Decoder,
  ERROR,
  encodeCall,
  METHOD_RETURN,
  type Message,
  OPENING,
  OPENING_ANSWERS,
  SIGNAL,
} from "../../../wire/dbus/message.ts";
import type { DbusValue } from "../../../wire/dbus/value.ts";

/** For the answer to a call, and for the end of a job, in milliseconds. */
const ANSWER_TIMEOUT = 30_000;
/** A listener with a full queue is tried again after this many milliseconds, each time twice as many. */
const CONNECT_WAIT = 100;
const CONNECT_ATTEMPTS = 7;
const CHUNK = 16 << 10;
const POLLIN = 1;

export const SYSTEMD = "org.freedesktop.systemd1";
const MANAGER_PATH = "/org/freedesktop/systemd1";
export const MANAGER = "org.freedesktop.systemd1.Manager";
const NO_ADDRESS =
  "could not detect DBUS_SESSION_BUS_ADDRESS from the environment; make sure you have installed the " +
  "dbus-user-session or dbus-daemon package; note you may need to re-login";
const BUS = "org.freedesktop.DBus";

/** What the other side answered a call with, instead of a result. */
export class BusError extends Failure {
  /** Such as org.freedesktop.systemd1.NoSuchUnit. */
  readonly errorName: string;

  constructor(errorName: string, message: string) {
    super("failed_precondition", message);
    this.errorName = errorName;
  }
}

export class Bus implements Disposable {
  readonly #socket: Fd;
  readonly #decoder = new Decoder();
  readonly #chunk = new Uint8Array(CHUNK);
  #serial = 0;
  /** Job to how it ended; kept because that may be heard before the answer that names the job. */
  readonly #ended = new Map<string, string>();

  constructor(socket: Fd) {
    this.#socket = socket;
    try {
      this.#open();
    } catch (thrown) {
      socket.close();
      throw thrown;
    }
  }

  #open(): void {
    writeAll(this.#socket.number, door().encode(OPENING));
    for (let answers = 0; answers < OPENING_ANSWERS; ) {
      const line = this.#decoder.line();
      if (line === null) this.#fill(ANSWER_TIMEOUT);
      else if (/^(DATA|OK)\b/.test(line)) answers++;
      else throw new Failure("permission_denied", `dbus: authentication failed: ${line}`);
    }
  }

  /** A bus, unlike a direct connection, must be told who we are and what we want to hear. */
  join(): this {
    const call = (member: string, signature: string, body: DbusValue[]) =>
      this.#call({ destination: BUS, path: "/org/freedesktop/DBus", interface: BUS, member, signature, body });
    try {
      call("Hello", "", []);
      call("AddMatch", "s", [`type='signal',interface='${MANAGER}',member='JobRemoved'`]);
      this.call("Subscribe", "", []);
      return this;
    } catch (thrown) {
      this[Symbol.dispose]();
      throw thrown;
    }
  }

  /** A method of systemd's manager; its results. */
  call(member: string, signature: string, body: DbusValue[]): readonly DbusValue[] {
    return this.#call({ destination: SYSTEMD, path: MANAGER_PATH, interface: MANAGER, member, signature, body });
  }

  property(name: string): DbusValue {
    const where = { destination: SYSTEMD, path: MANAGER_PATH, interface: "org.freedesktop.DBus.Properties" };
    const [variant] = this.#call({ ...where, member: "Get", signature: "ss", body: [MANAGER, name] });
    return (variant as { value: DbusValue }).value;
  }

  /** How it ended: "done", "failed", … ; null when it has not within the time. */
  endOf(job: string): string | null {
    for (;;) {
      const result = this.#ended.get(job);
      if (result !== undefined) return result;
      const message = this.#next();
      if (message === null) return null;
      this.#note(message);
    }
  }

  #call(call: Omit<Parameters<typeof encodeCall>[0], "serial">): readonly DbusValue[] {
    const serial = ++this.#serial;
    writeAll(this.#socket.number, encodeCall({ ...call, serial }));
    for (;;) {
      const message = this.#next();
      if (message === null) {
        throw new Failure("deadline_exceeded", `dbus: no answer to ${call.member} within ${ANSWER_TIMEOUT} ms`);
      }
      if (message.replySerial !== serial) this.#note(message);
      else if (message.type === METHOD_RETURN) return message.body;
      else if (message.type === ERROR) {
        const name = message.errorName ?? "an error without a name";
        const [text] = message.body;
        throw new BusError(name, typeof text === "string" ? text : name);
      }
    }
  }

  #note(message: Message): void {
    if (message.type !== SIGNAL || message.member !== "JobRemoved") return;
    const [, job, , result] = message.body;
    this.#ended.set(String(job), String(result));
  }

  /** Null when nothing comes within the time. */
  #next(): Message | null {
    for (;;) {
      const message = this.#decoder.message();
      if (message !== null) return message;
      if (!this.#fill(ANSWER_TIMEOUT)) return null;
    }
  }

  #fill(timeout: number): boolean {
    const poll = Int32Array.of(this.#socket.number, POLLIN);
    if (door().syscall(nr.SYS_poll, poll, 1, timeout) === 0) return false;
    const got = read(this.#socket.number, this.#chunk);
    if (got === 0) throw new Failure("unavailable", "dbus: connection closed by systemd");
    if (got !== null) this.#decoder.add(this.#chunk.subarray(0, got));
    return true;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

export function openBus(user: boolean): Bus {
  const tried: string[] = [];
  const places = user ? userSockets() : systemSockets();
  for (const { path, direct } of places) {
    try {
      const bus = new Bus(connect(path));
      return direct ? bus : bus.join();
    } catch (thrown) {
      tried.push((thrown as Error).message);
    }
  }
  if (places.length === 0) tried.push(NO_ADDRESS);
  const hint = user
    ? " (hint: for rootless containers, maybe you need to install dbus-user-session package, " +
      "see https://github.com/opencontainers/runc/blob/master/docs/cgroup-v2.md)"
    : "";
  throw new Failure("unavailable", `failed to connect to dbus${hint}: ${tried.join("; ")}`);
}

function connect(path: string): Fd {
  for (let attempt = 0; ; attempt++) {
    try {
      return connectUnix(path);
    } catch (thrown) {
      if (errnoOf(thrown) !== EAGAIN || attempt + 1 >= CONNECT_ATTEMPTS) throw thrown;
      pause(CONNECT_WAIT << attempt);
    }
  }
}

interface Place {
  path: string;
  /** systemd itself, without a bus between. */
  direct: boolean;
}

function systemSockets(): Place[] {
  const named = pathOf(variable("DBUS_SYSTEM_BUS_ADDRESS"));
  return [
    { path: "/run/systemd/private", direct: true },
    { path: named ?? "/run/dbus/system_bus_socket", direct: false },
  ];
}

function userSockets(): Place[] {
  const folder = variable("XDG_RUNTIME_DIR");
  const named = pathOf(variable("DBUS_SESSION_BUS_ADDRESS"));
  const path = named ?? (folder === "" ? null : `${folder}/bus`);
  if (path === null) return [];
  const direct = folder === "" ? [] : [{ path: `${folder}/systemd/private`, direct: true }];
  return [{ path, direct: false }, ...direct];
}

/** Of an address `unix:path=/run/x,guid=…;…`: the path, whose bytes may stand as %41. Null when there is none. */
function pathOf(address: string): string | null {
  for (const entry of address.split(";")) {
    const [, escaped] = /^unix:(?:.*,)?path=([^,]+)/.exec(entry) ?? [];
    if (escaped !== undefined) return decodeURIComponent(escaped);
  }
  return null;
}

function variable(name: string): string {
  const entry = door().env.find((text) => text.startsWith(`${name}=`));
  return entry === undefined ? "" : entry.slice(name.length + 1);
}
