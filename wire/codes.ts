// google.rpc.Code, which ttrpc and gRPC both send: the numbers of base/errors' closed set.

import type { ErrorCode } from "../base/errors.ts";

/** Index is the number on the wire. */
const CODES = [
  "ok",
  "canceled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
] as const satisfies readonly ("ok" | ErrorCode)[];

export const OK = 0;

export function numberOfCode(code: ErrorCode): number {
  return CODES.indexOf(code);
}

/** A number outside the set, and OK where an error was announced, are "unknown". */
export function codeOfNumber(number: number): ErrorCode {
  const code = CODES[number];
  return code === undefined || code === "ok" ? "unknown" : code;
}
