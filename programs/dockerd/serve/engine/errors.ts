// Failures as the Engine API states them: a status and {"message": …}. Called by the server for whatever a route
// throws.

import { codeOf, type ErrorCode, Failure, messageOf } from "../../../../base/errors.ts";

const STATUS: Partial<Record<ErrorCode, number>> = {
  not_found: 404,
  invalid_argument: 400,
  out_of_range: 400,
  already_exists: 409,
  failed_precondition: 409,
  aborted: 409,
  unauthenticated: 401,
  permission_denied: 403,
  unavailable: 503,
  unimplemented: 501,
  canceled: 499,
};

/** A status given in the facts wins, so that a route can say 304 or 413. */
export function statusOf(thrown: unknown): number {
  if (thrown instanceof Failure && typeof thrown.facts["status"] === "number") return thrown.facts["status"];
  return STATUS[codeOf(thrown)] ?? 500;
}

export function errorBody(thrown: unknown): { message: string } {
  return { message: messageOf(thrown) };
}

/** Already as wanted: answered with 304 and no body. */
export function notModified(message: string): Failure {
  return new Failure("failed_precondition", message, { facts: { status: 304 } });
}
