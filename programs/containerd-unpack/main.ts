// containerd-unpack: fills a snapshot from a tar archive, or writes the difference of two snapshots as one.
// containerd starts it for each layer (api/unpack/PROTOCOL.md). Everything is blocking: it has one thing to do.

import type { ApplyRequest, DiffRequest, UnpackFailure } from "../../api/unpack/unpack.ts";
import { codeOf, Failure, messageOf } from "../../base/errors.ts";
import { type Door, door } from "../../linux/door.ts";
import { O_DIRECTORY, O_RDONLY, open, read, writeAll } from "../../linux/fd.ts";
import { exit } from "../../linux/process.ts";
import { syncFileSystem } from "../../linux/tree.ts";
import { openDoor } from "../../runtime/quickjs/runtime.ts";
import { applyLayer } from "./apply.ts";
import { writeDiff } from "./diff.ts";
import { openRoot } from "./root.ts";

const USAGE = "usage: containerd-unpack apply REQUEST | diff REQUEST | sync PATH\n";

export function main(given: Door): void {
  openDoor(given);
  const [, action, argument] = door().args;
  if (argument === undefined || (action !== "apply" && action !== "diff" && action !== "sync")) {
    writeAll(2, door().encode(USAGE));
    exit(2);
  }
  try {
    perform(action, argument);
  } catch (thrown) {
    const failure: UnpackFailure = { code: codeOf(thrown), message: messageOf(thrown) };
    writeAll(2, door().encode(`${JSON.stringify(failure)}\n`));
    exit(1);
  }
  exit(0);
}

function perform(action: "apply" | "diff" | "sync", argument: string): void {
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
