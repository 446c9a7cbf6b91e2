// The closed set of failures that cross a hop, and the one error class that carries them.
//
// The codes are gRPC's (and so containerd's errdefs'): each wire maps them once, in wire/<name>/status.ts.
// Facts go into `facts`, the reason below into `cause`; the message is the sentence a person reads.

export type ErrorCode =
  | "canceled"
  | "unknown"
  | "invalid_argument"
  | "deadline_exceeded"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "resource_exhausted"
  | "failed_precondition"
  | "aborted"
  | "out_of_range"
  | "unimplemented"
  | "internal"
  | "unavailable"
  | "data_loss"
  | "unauthenticated";

export class Failure extends Error {
  readonly code: ErrorCode;
  readonly facts: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, detail: { cause?: unknown; facts?: Record<string, unknown> } = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "Failure";
    this.code = code;
    this.facts = detail.facts ?? {};
  }
}

/** The code of any thrown value; what is not a Failure is "unknown". */
export function codeOf(thrown: unknown): ErrorCode {
  return thrown instanceof Failure ? thrown.code : "unknown";
}

/** The sentence of any thrown value. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
