// One `criu swrk` process: started with its end of a socket pair as descriptor 3, spoken to in packets (api/criu),
// ended by closing our end. Used by tool.ts for questions and by dump.ts and restore.ts for the work itself.

import { CriuReq, CriuReqType, CriuResp } from "../../api/criu/gen/rpc.ts";
import type { Bytes } from "../../base/bytes.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import { closeOnExecFrom } from "../../linux/credential.ts";
import { door } from "../../linux/door.ts";
import { must, SyscallFailure } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";
import { clone, type Exit, execve, exit, waitChild } from "../../linux/process.ts";
import { resetSignals } from "../../linux/signal.ts";
import { receivePacket, send, socketPair } from "../../linux/socket.ts";
import { joinTasks } from "../cgroups/manager.ts";
import { type ChildMessage, hear, openDialogue, say } from "../messages.ts";

const SOCK_SEQPACKET = 5;
/** Bytes of one answer; criu's own limit is a few thousand. */
const PACKET_LIMIT = 40 << 10;
/** The number under which criu finds its socket, and the first one after it. */
const CRIU_SOCKET = 3;
export const FIRST_INHERITED = 4;
const F_DUPFD_CLOEXEC = 1030;
/** Above every number that criu is given. */
const SAFE_DESCRIPTOR = 64;

export interface WorkerStart {
  /** criu's executable, and its environment. */
  path: string;
  environment: readonly string[];
  /** Borrowed descriptors that become 0, 1 and 2; null is /dev/null. */
  standard: readonly (number | null)[];
  /** Borrowed; they become FIRST_INHERITED and the following. */
  inherited: readonly number[];
  /** A v2 cgroup to be born in, and open `tasks` files of v1. */
  cgroup: number | null;
  tasks: readonly fs.Fd[];
}

export interface Answer {
  response: CriuResp;
  descriptor: fs.Fd | null;
}

export class Worker implements Disposable {
  readonly pid: number;
  readonly #socket: fs.Fd;
  #ended: Exit | null = null;

  private constructor(pid: number, socket: fs.Fd) {
    this.pid = pid;
    this.#socket = socket;
  }

  static start(start: WorkerStart): Worker {
    const [ours, theirs] = socketPair(SOCK_SEQPACKET);
    using _theirs = theirs;
    using nothing = fs.open("/dev/null", fs.O_RDWR);
    const dialogue = openDialogue();
    using heard = dialogue.parent;
    const { pid } = clone({ flags: 0n, cgroup: start.cgroup, pidfd: false });
    if (pid === 0) {
      ours.close();
      heard.close();
      const standard = start.standard.map((descriptor) => descriptor ?? nothing.number);
      become(start, [...standard, theirs.number, ...start.inherited], dialogue.child);
    }
    dialogue.child.close();
    const worker = new Worker(pid, ours);
    // End of file: the descriptor was closed by execve.
    const failed = hear<ChildMessage>(heard.number);
    if (failed === null) return worker;
    worker[Symbol.dispose]();
    throw new Failure("failed_precondition", failed.kind === "failed" ? failed.message : "criu cannot be started");
  }

  send(request: CriuReq): void {
    send(this.#socket.number, CriuReq.encode(request));
  }

  /** Throws when criu ended instead of answering. */
  receive(): Answer {
    const packet = receivePacket(this.#socket.number, new Uint8Array(PACKET_LIMIT));
    if (packet === null) throw new Failure("aborted", "criu ended without an answer");
    if (packet.data.length === PACKET_LIMIT) throw new Failure("resource_exhausted", "criu's answer is too long");
    return { response: CriuResp.decode(packet.data satisfies Bytes), descriptor: packet.descriptor };
  }

  /** Tells it that there is nothing more, and waits for its end; null when it was waited for by another. */
  end(): Exit | null {
    this.#socket.close();
    this.#ended ??= waitChild(this.pid);
    return this.#ended;
  }

  [Symbol.dispose](): void {
    this.end();
  }
}

export function typeName(type: number | null): string {
  return Object.entries(CriuReqType).find(([, number]) => number === type)?.[0] ?? String(type);
}

/** In the child. Descriptors move above all targets first, because a target may be another one's source. */
function become(start: WorkerStart, sources: readonly number[], failures: fs.Fd): never {
  let report = failures.number;
  try {
    joinTasks(start.tasks);
    report = duplicateAbove(report);
    sources.map(duplicateAbove).forEach((source, target) => {
      fs.duplicateTo(source, target);
    });
    closeOnExecFrom(sources.length);
    resetSignals();
    const errno = execve(start.path, [start.path, "swrk", String(CRIU_SOCKET)], start.environment);
    throw new SyscallFailure("exec", errno, start.path);
  } catch (thrown) {
    say(report, { kind: "failed", message: messageOf(thrown), early: true });
  }
  exit(1);
}

function duplicateAbove(source: number): number {
  return must("fcntl", `fd ${source}`, door().syscall(nr.SYS_fcntl, source, F_DUPFD_CLOEXEC, SAFE_DESCRIPTOR));
}
