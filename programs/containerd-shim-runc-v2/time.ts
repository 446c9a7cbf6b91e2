// Protobuf's Timestamp from the kernel's nanoseconds.

import type { Timestamp } from "../../api/wellknown/gen/time.ts";

export function timestamp(nanoseconds: bigint): Timestamp {
  return { seconds: nanoseconds / 1_000_000_000n, nanos: Number(nanoseconds % 1_000_000_000n) };
}
