// Where a container's terminal goes: to the console socket when runc does not stay, else through runc itself.

import { Failure } from "../../../base/errors.ts";
import type { ProcessSpec } from "../../../container/spec/schema.ts";
import type { Fd } from "../../../linux/fd.ts";
import { connectUnix, receiveDescriptor, socketPair } from "../../../linux/socket.ts";

export interface ConsoleEnds extends Disposable {
  /** For the child to send the master through; null without a terminal. */
  readonly send: number | null;
  /** The master that came, when it is for us. */
  receive(): Fd | null;
}

export function openConsole(spec: ProcessSpec, how: { detach: boolean; socket: string }): ConsoleEnds {
  const { detach, socket } = how;
  if (spec.terminal && detach && socket === "") {
    throw new Failure("invalid_argument", "cannot allocate tty if runc will detach without setting console socket");
  }
  if ((!spec.terminal || !detach) && socket !== "") {
    throw new Failure("invalid_argument", "cannot use console socket if runc will not detach or allocate tty");
  }
  if (!spec.terminal) return ends(null, null);
  if (detach) return ends(connectUnix(socket), null);
  const [ours, theirs] = socketPair();
  return ends(theirs, ours);
}

function ends(theirs: Fd | null, ours: Fd | null): ConsoleEnds {
  return {
    send: theirs?.number ?? null,
    receive: () => (ours === null ? null : (receiveDescriptor(ours.number)?.descriptor ?? null)),
    [Symbol.dispose]() {
      theirs?.close();
      ours?.close();
    },
  };
}
