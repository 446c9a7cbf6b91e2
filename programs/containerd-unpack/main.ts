// containerd-unpack: fills a snapshot from a tar archive, or writes the difference of two snapshots as one.
// containerd starts it for each layer (api/unpack/PROTOCOL.md). Everything is blocking: it has one thing to do.

import type { ApplyRequest, DiffRequest, UnpackFailure } from "../../api/unpack/unpack.ts";
import { codeOf, Failure, messageOf } from "../../base/errors.ts";
import { type Door, door } from "../../linux/door.ts";
import { makeFifo, O_DIRECTORY, O_RDONLY, open, read, writeAll } from "../../linux/fd.ts";
import { exit } from "../../linux/process.ts";
import { syncFileSystem } from "../../linux/tree.ts";
import { openDoor } from "../../runtime/quickjs/runtime.ts";
import { applyLayer } from "./apply.ts";
import { writeDiff } from "./diff.ts";
import { openRoot, unmountAll } from "./root.ts";

const USAGE = "usage: containerd-unpack apply REQUEST | diff REQUEST | sync PATH | fifos PATH... | unmount PATH\n";
const ACTIONS = ["apply", "diff", "sync", "fifos", "unmount"] as const;
type Action = (typeof ACTIONS)[number];

export function main(given: Door): void {
  openDoor(given);
  const [, word, ...rest] = door().args;
  const action = ACTIONS.find((known) => known === word);
  if (action === undefined || rest.length === 0) {
    writeAll(2, door().encode(USAGE));
    exit(2);
  }
  try {
    perform(action, rest);
  } catch (thrown) {
    const failure: UnpackFailure = { code: codeOf(thrown), message: messageOf(thrown) };
    writeAll(2, door().encode(`${JSON.stringify(failure)}\n`));
    exit(1);
  }
  exit(0);
}

function perform(action: Action, args: readonly string[]): void {
  const argument = args[0]!;
  if (action === "fifos") for (const path of args) makeFifo(path, 0o600);
  if (action === "unmount") unmountAll(argument);
  if (action === "fifos" || action === "unmount") return;
  if (action === "sync") {
    using directory = open(argument, O_RDONLY | O_DIRECTORY);
    syncFileSystem(directory.number);
    return;
  }
  if (action === "apply") {
    const request = parseRequest(argument) as unknown as ApplyRequest;
    using root = openRoot(request.mounts, { mountpoint: request.mountpoint, readOnly: false });
    const answer = applyLayer(root.number, (into) => read(0, into) ?? 0);
    syncFileSystem(root.number);
    writeAll(1, door().encode(`${JSON.stringify(answer)}\n`));
    return;
  }
  const request = parseRequest(argument) as unknown as DiffRequest;
  const [below, above] = request.mountpoints;
  using lower = request.lower.length === 0 ? null : openRoot(request.lower, { mountpoint: below, readOnly: true });
  using upper = openRoot(request.upper, { mountpoint: above, readOnly: true });
  writeDiff({ lower: lower?.number ?? null, upper: upper.number }, (bytes) => writeAll(1, bytes));
}

function parseRequest(text: string): Record<string, unknown> {
  try {
    const request = JSON.parse(text) as Record<string, unknown> | null;
    if (request !== null && typeof request === "object") return request;
  } catch {
    // Said below.
  }
  throw new Failure("invalid_argument", "the request is not a JSON object");
}
