// From a call's headers to the scope its work is done in.

import { Failure } from "../../../base/errors.ts";
import { LEASE_HEADER } from "../../../core/leases/remote.ts";
import { DURABILITY_HEADER, DURABILITY_RUNNING } from "../../../core/remote.ts";
import { checkIdentifier, type Scope } from "../../../core/values.ts";
import type { CallContext } from "../../../wire/call.ts";

export function scopeOf(context: CallContext): Scope {
  return {
    namespace: namespaceOf(context),
    lease: context.headers[LEASE_HEADER] ?? null,
    acknowledged: context.headers[DURABILITY_HEADER] !== DURABILITY_RUNNING,
  };
}

export function namespaceOf(context: CallContext): string {
  if (context.namespace === "") {
    throw new Failure("failed_precondition", "namespace is required: failed precondition");
  }
  checkIdentifier(context.namespace);
  return context.namespace;
}

/** Aborted when the caller gives up; disposed when the call is over. */
export function signalOf(context: CallContext): { signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  const held = context.onCancel(() => controller.abort());
  return { signal: controller.signal, [Symbol.dispose]: () => held[Symbol.dispose]() };
}
