// Tells when the kernel killed a process of the group for want of memory: by eventfd (v1) or inotify (v2), and again
// when a process ends, so that the event is out before the exit it caused.

import { encodeUtf8 } from "../../../base/bytes.ts";
import { door } from "../../../linux/door.ts";
import { EPOLLIN } from "../../../linux/epoll.ts";
import { must } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import { SYS_eventfd2, SYS_inotify_add_watch, SYS_inotify_init1 } from "../../../linux/numbers.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { type Group, readTable } from "./group.ts";

const IN_MODIFY = 2;
/** An inotify event with a name is at most 272 bytes. */
const EVENT_SIZE = 512;

/** How many processes of the group the kernel has killed for want of memory. */
export function memoryKills(group: Group | null): bigint {
  if (group === null) return 0n;
  const file = group.unified ? "memory.events" : "memory.oom_control";
  return readTable(group, "memory", file).get("oom_kill") ?? 0n;
}

export class OomWatch {
  readonly #loop: Loop;
  readonly #group: Group;
  readonly #killed: () => void;
  #fd: fd.Fd | null;
  #control: fd.Fd | null = null;
  #seen: bigint;

  /** Watches as far as this machine lets it; without a memory controller there is nothing to tell. `seen`: the kills
   *  (memoryKills) that are known already. */
  constructor(loop: Loop, group: Group, how: { seen: bigint; killed: () => void }) {
    this.#loop = loop;
    this.#group = group;
    this.#killed = how.killed;
    this.#seen = how.seen;
    this.#fd = this.#open();
    if (this.#fd !== null) loop.watch(this.#fd.number, EPOLLIN, () => this.#woken());
    this.check();
  }

  /** Looks now. */
  check(): void {
    const count = memoryKills(this.#group);
    if (count <= this.#seen) return;
    this.#seen = count;
    this.#killed();
  }

  close(): void {
    if (this.#fd !== null) this.#loop.unwatch(this.#fd.number);
    this.#fd?.close();
    this.#control?.close();
    this.#fd = null;
    this.#control = null;
  }

  #woken(): void {
    const there = fd.read(this.#fd!.number, new Uint8Array(EVENT_SIZE)) !== null;
    const directory = this.#group.directories.get(this.#group.unified ? "" : "memory");
    // A removed group wakes its watchers, too, for ever.
    if (there && fd.stat(directory!) === null) this.close();
    else this.check();
  }

  #open(): fd.Fd | null {
    const directory = this.#group.directories.get(this.#group.unified ? "" : "memory");
    if (directory === undefined) return null;
    try {
      return this.#group.unified ? watchEvents(directory) : this.#openEventFd(directory);
    } catch {
      return null;
    }
  }

  /** cgroup v1: "<eventfd> <descriptor of memory.oom_control>" into cgroup.event_control. */
  #openEventFd(directory: string): fd.Fd {
    const flags = fd.O_NONBLOCK | fd.O_CLOEXEC;
    const event = new fd.Fd(must("eventfd", "", door().syscall(SYS_eventfd2, 0, flags)));
    try {
      this.#control = fd.open(`${directory}/memory.oom_control`, fd.O_RDONLY);
      using registry = fd.open(`${directory}/cgroup.event_control`, fd.O_WRONLY);
      fd.writeAll(registry.number, encodeUtf8(`${event.number} ${this.#control.number}`));
      return event;
    } catch (thrown) {
      event.close();
      this.#control?.close();
      this.#control = null;
      throw thrown;
    }
  }
}

function watchEvents(directory: string): fd.Fd {
  const watcher = new fd.Fd(must("inotify_init", "", door().syscall(SYS_inotify_init1, fd.O_NONBLOCK | fd.O_CLOEXEC)));
  const result = door().syscall(SYS_inotify_add_watch, watcher.number, `${directory}/memory.events`, IN_MODIFY);
  if (result >= 0) return watcher;
  watcher.close();
  must("inotify_add_watch", directory, result);
  return watcher;
}
