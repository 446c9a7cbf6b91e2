// The diff service.

import type { Diff } from "../../../api/containerd/gen/diff.ts";
import type { DiffService } from "../../../core/diff/diff.ts";
import { descriptorFromMessage, descriptorToMessage } from "../../../core/messages.ts";
import type { Scope } from "../../../core/values.ts";
import type { HandlersOf } from "../../../wire/call.ts";
import { scopeOf } from "./scope.ts";

export function serveDiff(diffs: (scope: Scope) => DiffService): HandlersOf<typeof Diff> {
  return {
    async apply({ diff, mounts }, context) {
      const applied = await diffs(scopeOf(context)).apply(descriptorFromMessage(diff), mounts);
      return { applied: descriptorToMessage(applied) };
    },
    async diff({ left, right, mediaType, ref, labels }, context) {
      const made = await diffs(scopeOf(context)).compare(left, right, { mediaType, ref, labels });
      return { diff: descriptorToMessage(made) };
    },
  };
}
