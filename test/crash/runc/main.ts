// runc with its failpoints alive, for crash tests alone: the same sources as the shipped program, with a door that
// counts system calls. What is to happen where is read from the environment, which the shipped program never does:
//
//     GANTRY_CRASH   <place>=<action>
//     place          the name of a failpoint, or <depth>:<n>: the n-th system call of the process <depth> clones
//                    below the one that was started; or <depth>:say: each of its messages
//     action         kill, stop, fail, errno-<n> (of a system call), garbage-<seed> (half of the messages)
//     GANTRY_CRASH_LOG   a file that gets one line for the place when it is reached

import { Failure } from "../../../base/errors.ts";
import { armFailpoints } from "../../../container/failpoints.ts";
import type { Door, SyscallArgument } from "../../../linux/door.ts";
import * as nr from "../../../linux/numbers.ts";
import { main as runc } from "../../../programs/runc/main.ts";
import { mutate } from "../../fuzz/mutate.ts";
import { Random } from "../../fuzz/random.ts";

const SIGKILL = 9;
const SIGSTOP = 19;
const O_WRONLY_APPEND_CREAT = 0o2101;
const F_DUPFD_CLOEXEC = 1030;
const HIGH = 500;
/** Bytes that the socket takes. */
const SAY_LIMIT = 100_000;

export function main(real: Door): number {
  const order = real.env.find((entry) => entry.startsWith("GANTRY_CRASH="))?.slice("GANTRY_CRASH=".length) ?? "";
  const at = order.indexOf("=");
  const [place, action] = at < 0 ? ["", ""] : [order.slice(0, at), order.slice(at + 1)];
  const crash = new Crash(real, place, action);
  armFailpoints((name) => {
    if (name === place)
      crash.strike(() => {
        throw new Failure("aborted", `failpoint ${name}`);
      });
  });
  const door = Object.create(real) as Door;
  Object.defineProperty(door, "syscall", {
    value: (number: number, ...args: SyscallArgument[]) => crash.call(number, args),
  });
  return runc(door);
}

class Crash {
  readonly #door: Door;
  readonly #place: string;
  readonly #action: string;
  /** Opened early, because a child loses sight of its path; high, where it is in nobody's way. */
  readonly #logFile: number;
  #random: Random | null = null;
  #depth = 0;
  #count = 0;

  constructor(door: Door, place: string, action: string) {
    this.#door = door;
    this.#place = place;
    this.#action = action;
    const path = door.env.find((entry) => entry.startsWith("GANTRY_CRASH_LOG="))?.slice("GANTRY_CRASH_LOG=".length);
    const fd = path === undefined ? -1 : door.syscall(nr.SYS_open, path, O_WRONLY_APPEND_CREAT, 0o600);
    this.#logFile = fd < 0 ? fd : door.syscall(nr.SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH);
    if (fd >= 0) door.syscall(nr.SYS_close, fd);
  }

  call(number: number, args: SyscallArgument[]): number {
    this.#count += 1;
    if (this.#place === `${this.#depth}:${this.#count}`) {
      const errno = /^errno-(\d+)$/.exec(this.#action);
      if (errno !== null) {
        // The kernel closes whatever it answers.
        if (number === nr.SYS_close) this.#door.syscall(number, ...args);
        this.#log(`${number}`);
        return -Number(errno[1]);
      }
      this.strike(() => {}, `${number}`);
    }
    if (number === nr.SYS_sendto && this.#place === `${this.#depth}:say`) return this.#say(args);
    if (number === nr.SYS_close_range && Number(args[0]) < HIGH && Number(args[1]) > HIGH) {
      this.#door.syscall(number, HIGH + 1, args[1]!, args[2]!);
      return this.#door.syscall(number, args[0]!, HIGH - 1, args[2]!);
    }
    const result = this.#door.syscall(number, ...args);
    if (result === 0 && (number === nr.SYS_clone3 || number === nr.SYS_clone)) {
      this.#depth += 1;
      this.#count = 0;
    }
    return result;
  }

  /** The message as something else, half of the time. */
  #say(args: SyscallArgument[]): number {
    const [fd, bytes, length, ...rest] = args;
    this.#random ??= new Random(Number(this.#action.slice("garbage-".length)));
    if (!(bytes instanceof Uint8Array) || this.#random.oneIn(2)) return this.#door.syscall(nr.SYS_sendto, ...args);
    const text = this.#door.decode(bytes, 0, Number(length));
    const other = mutate(text, this.#random, (made) => this.#door.encode(made)).bytes.subarray(0, SAY_LIMIT);
    this.#log("say");
    return this.#door.syscall(nr.SYS_sendto, fd!, other, other.length, ...rest);
  }

  strike(fail: () => void, what = ""): void {
    this.#log(what);
    if (this.#action === "fail") fail();
    else
      this.#door.syscall(nr.SYS_tkill, this.#door.syscall(nr.SYS_gettid), this.#action === "kill" ? SIGKILL : SIGSTOP);
    // The first process of a pid namespace cannot kill itself with a signal; a fault it does not survive either.
    if (this.#action === "kill") this.#door.memory(8, 8).fill(0);
  }

  #log(what: string): void {
    const line = this.#door.encode(`${this.#place} ${what}\n`);
    this.#door.syscall(nr.SYS_write, this.#logFile, line, line.length);
  }
}
