// The terminal of a process: the runtime makes it and sends its master over the console socket, as one descriptor.
//
//     listen ──▶ [runtime: --console-socket] ──▶ accept ──▶ one message with the master ──▶ copy both ways

import { toHex } from "../../../base/bytes.ts";
import { Failure } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import { EPOLLIN } from "../../../linux/epoll.ts";
import { must } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import { SYS_fcntl } from "../../../linux/numbers.ts";
import { randomBytes } from "../../../linux/process.ts";
import { accept, listenUnix, receiveDescriptor } from "../../../linux/socket.ts";
import { setWindowSize, type WindowSize } from "../../../linux/tty.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { CONSOLE_TIMEOUT } from "../limits.ts";

const F_DUPFD_CLOEXEC = 1030;

export class Console {
  readonly socketPath: string;
  readonly #loop: Loop;
  readonly #listener: fd.Fd;
  readonly #received: Promise<fd.Fd>;
  #settle: { resolve: (master: fd.Fd) => void; reject: (reason: Failure) => void } | null = null;
  #listening = true;
  /** For resizing only; the copies belong to whoever reads and writes. */
  #master: fd.Fd | null = null;

  constructor(loop: Loop, directory: string) {
    this.#loop = loop;
    this.socketPath = `${directory}/${toHex(randomBytes(8))}.pty`;
    this.#listener = listenUnix(this.socketPath, 0o600);
    this.#received = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // A runtime that fails never sends one, and then nobody asks for it.
    this.#received.catch(() => {});
    loop.watch(this.#listener.number, EPOLLIN, () => this.#accept());
  }

  /** After the runtime's success. Two owned descriptors of the master: one to read from, one to write to. */
  async receive(): Promise<{ output: fd.Fd; input: fd.Fd }> {
    const timeout = this.#loop.timer(CONSOLE_TIMEOUT, () => {
      this.#settle?.reject(new Failure("deadline_exceeded", "the runtime sent no terminal"));
    });
    try {
      const master = await this.#received;
      fd.setNonBlocking(master.number, true);
      this.#master = master;
      // The loop watches a number once; reading and writing wait independently.
      return { output: duplicate(master), input: duplicate(master) };
    } finally {
      timeout[Symbol.dispose]();
      this.#stopListening();
    }
  }

  resize(size: WindowSize): void {
    if (this.#master !== null) setWindowSize(this.#master.number, size);
  }

  close(): void {
    this.#stopListening();
    this.#settle?.reject(new Failure("canceled", "the terminal was closed"));
    this.#settle = null;
    this.#master?.close();
    this.#master = null;
  }

  #stopListening(): void {
    if (!this.#listening) return;
    this.#listening = false;
    this.#loop.unwatch(this.#listener.number);
    this.#listener.close();
    fd.unlinkIfThere(this.socketPath);
  }

  #accept(): void {
    using connection = accept(this.#listener.number);
    if (connection === null) return;
    // The runtime sends at once what it connected for; this waits for one message of one process in the directory
    // that only root may enter.
    fd.setNonBlocking(connection.number, false);
    const message = receiveDescriptor(connection.number);
    if (message?.descriptor == null) return;
    this.#settle?.resolve(message.descriptor);
    this.#settle = null;
  }
}

function duplicate(source: fd.Fd): fd.Fd {
  return new fd.Fd(must("fcntl", "terminal", door().syscall(SYS_fcntl, source.number, F_DUPFD_CLOEXEC, 0)));
}
