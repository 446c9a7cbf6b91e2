// Times of containerd as the Engine API prints them.

import type { Timestamp } from "../../../../api/wellknown/gen/time.ts";
import { formatTimestamp } from "../../containers/record.ts";

/** RFC 3339; "" for none. */
export function timeOf(timestamp: Timestamp | null): string {
  return timestamp === null || timestamp.seconds <= 0n ? "" : formatTimestamp(timestamp.seconds, timestamp.nanos);
}

/** From nanoseconds since 1970; "" for 0 and for Go's zero time, which lies before it. */
export function textOfNanoseconds(nanoseconds: bigint): string {
  if (nanoseconds <= 0n) return "";
  return formatTimestamp(nanoseconds / 1_000_000_000n, Number(nanoseconds % 1_000_000_000n));
}
