// The sentence of a failure as the original's client prints it: containerd's message, then the name of the class that
// its code stands for, unless the message ends with it.

import { type ErrorCode, Failure, messageOf } from "../../../base/errors.ts";

const CLASSES: Partial<Record<ErrorCode, string>> = {
  invalid_argument: "invalid argument",
  already_exists: "already exists",
  not_found: "not found",
  failed_precondition: "failed precondition",
  unavailable: "unavailable",
  unimplemented: "not implemented",
  canceled: "context canceled",
  deadline_exceeded: "context deadline exceeded",
};

export function sentenceOf(thrown: unknown): string {
  const text = messageOf(thrown);
  if (!(thrown instanceof Failure) || !cameOverTheWire(thrown)) return text;
  const name = CLASSES[thrown.code] ?? "unknown";
  return text === name || text.endsWith(`: ${name}`) ? text : `${text}: ${name}`;
}

/** Only such a failure has a code worth naming; ctr's own sentences are whole. */
function cameOverTheWire(failure: Failure): boolean {
  const cause = failure.cause as { code?: unknown; details?: unknown } | undefined;
  return typeof cause?.code === "number" && typeof cause.details === "string";
}

/** A failed system call in Go's words: "open /x: no such file or directory". */
export function systemFailure(call: string, path: string, thrown: unknown): Failure {
  const code = (thrown as NodeJS.ErrnoException).code ?? "";
  return new Failure("unknown", `${call} ${path}: ${WORDS[code] ?? messageOf(thrown)}`, { cause: thrown });
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EEXIST: "file exists",
  EISDIR: "is a directory",
  ENOTDIR: "not a directory",
};
