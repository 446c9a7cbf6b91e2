// Failures on ttrpc: a google.rpc.Status inside the response.

import type { Status } from "../../api/wellknown/gen/status.ts";
import { codeOf, Failure, messageOf } from "../../base/errors.ts";
import { codeOfNumber, numberOfCode, OK } from "../codes.ts";

export function statusOf(thrown: unknown): Status {
  return { code: numberOfCode(codeOf(thrown)), message: messageOf(thrown), details: [] };
}

/** Null when the call went well. */
export function failureOf(status: Status | null): Failure | null {
  if (status === null || status.code === OK) return null;
  return new Failure(codeOfNumber(status.code), status.message);
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
