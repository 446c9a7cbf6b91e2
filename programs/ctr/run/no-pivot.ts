// --no-pivot: an option of the task that must carry the container's own runtime options along, because it replaces
// them.

import { Options } from "../../../api/task/gen/runc_options.ts";
import type { Container } from "../../../core/containers/containers.ts";
import type { TypedValue } from "../../../core/values.ts";

export function withoutPivot(container: Container): TypedValue {
  const { options } = container.runtime;
  const own = options === null ? Options.create() : Options.decode(options.value);
  return { typeUrl: Options.typeName, value: Options.encode({ ...own, noPivotRoot: true }) };
}
