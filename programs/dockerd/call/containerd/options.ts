// The runtime options every container of ours has: which runc, and where it keeps its state.

import { Options } from "../../../../api/task/gen/runc_options.ts";
import type { TypedValue } from "../../../../core/values.ts";

export function encodeRuncOptions(wanted: { binaryName: string; root: string }): TypedValue {
  return { typeUrl: Options.typeName, value: Options.encode(Options.create(wanted)) };
}
