// Failures on gRPC: a code and a sentence in the trailers. The sentence arrives exactly, whatever letters it has.

import type { ServiceError } from "@grpc/grpc-js";
import { codeOf, Failure, messageOf } from "../../base/errors.ts";
import { codeOfNumber, numberOfCode } from "../codes.ts";

export function statusOf(thrown: unknown): { code: number; details: string } {
  // The library percent-encodes the sentence and cannot do so with half a surrogate pair.
  return { code: numberOfCode(codeOf(thrown)), details: messageOf(thrown).toWellFormed() };
}

/** What a call threw, as Failure; anything that is no gRPC error stays what it is. */
export function failureOf(thrown: unknown): unknown {
  const error = thrown as Partial<ServiceError>;
  if (!(thrown instanceof Error) || typeof error.code !== "number" || typeof error.details !== "string") return thrown;
  return new Failure(codeOfNumber(error.code), error.details, { cause: thrown });
}
