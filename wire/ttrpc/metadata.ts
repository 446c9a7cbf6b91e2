// Headers of a ttrpc request: a list of pairs on the wire, a record here.

import type { KeyValue } from "../../api/wellknown/gen/ttrpc.ts";
import type { Headers } from "../call.ts";

/** The containerd namespace of a call; gRPC calls it containerd-namespace. */
export const NAMESPACE_HEADER = "containerd-namespace-ttrpc";
/** W3C trace context: which run this call belongs to. */
export const TRACE_HEADER = "traceparent";

export function pairsOf(...headers: readonly (Headers | undefined)[]): KeyValue[] {
  const merged: Record<string, string> = Object.assign({}, ...headers);
  return Object.entries(merged).map(([key, value]) => ({ key, value }));
}

/** Of a repeated name the first value; own properties only, whatever the names are. */
export function headersOf(pairs: readonly KeyValue[]): Headers {
  const headers: Record<string, string> = Object.create(null);
  for (const { key, value } of pairs) headers[key.toLowerCase()] ??= value;
  return headers;
}
