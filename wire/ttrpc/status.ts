// Failures on ttrpc: a google.rpc.Status inside the response.

import type { Status } from "../../api/wellknown/gen/status.ts";
import { codeOf, type ErrorCode, Failure, messageOf } from "../../base/errors.ts";
import { codeOfNumber, numberOfCode, OK } from "../codes.ts";

/** How containerd's services end the sentence of a failure of some codes; clients of 2.x show it as it is. */
const ENDINGS: Partial<Record<ErrorCode, string>> = {
  not_found: ": not found",
  already_exists: ": already exists",
  failed_precondition: ": failed precondition",
};

/** Of the protocol itself: a request that reaches no handler. */
export function statusOf(thrown: unknown): Status {
  return { code: numberOfCode(codeOf(thrown)), message: messageOf(thrown), details: [] };
}

/** Of a handler. */
export function answerOf(thrown: unknown): Status {
  const status = statusOf(thrown);
  const ending = ENDINGS[codeOf(thrown)] ?? "";
  return status.message.endsWith(ending) ? status : { ...status, message: `${status.message}${ending}` };
}

/** Null when the call went well. The code says what the ending of its sentence does. */
export function failureOf(status: Status | null): Failure | null {
  if (status === null || status.code === OK) return null;
  const code = codeOfNumber(status.code);
  const ending = ENDINGS[code] ?? "";
  const { message } = status;
  return new Failure(code, ending !== "" && message.endsWith(ending) ? message.slice(0, -ending.length) : message);
}

/** What every call of a connection that ended gets; the sentence is the original's. */
export function closedFailure(cause?: unknown): Failure {
  return new Failure("unavailable", "ttrpc: closed", { cause });
}

export function deadlineFailure(): Failure {
  return new Failure("deadline_exceeded", "context deadline exceeded");
}

export function canceledFailure(): Failure {
  return new Failure("canceled", "context canceled");
}
