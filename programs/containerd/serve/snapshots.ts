// The snapshots service, for the one snapshotter there is.

import type { Snapshots } from "../../../api/containerd/gen/snapshots.ts";
import { Failure } from "../../../base/errors.ts";
import { fieldsFromMessage, mountToMessage, required } from "../../../core/messages.ts";
import { type OverlaySnapshots, SNAPSHOTTER } from "../../../core/snapshots/overlay.ts";
import { snapshotToMessage } from "../../../core/snapshots/remote.ts";
import type { SnapshotStore } from "../../../core/snapshots/snapshots.ts";
import type { CallContext, HandlersOf } from "../../../wire/call.ts";
import { scopeOf } from "./scope.ts";

const LIST_PAGE = 100; // records of one List message

export function serveSnapshots(snapshots: OverlaySnapshots): HandlersOf<typeof Snapshots> {
  const of = (context: CallContext, snapshotter: string): SnapshotStore => {
    if (snapshotter !== SNAPSHOTTER && snapshotter !== "") {
      throw new Failure("invalid_argument", `snapshotter not loaded: ${snapshotter}: invalid argument`);
    }
    return snapshots.scoped(scopeOf(context));
  };
  return {
    async prepare({ snapshotter, key, parent, labels }, context) {
      return { mounts: (await of(context, snapshotter).prepare(key, parent, labels)).map(mountToMessage) };
    },
    async view({ snapshotter, key, parent, labels }, context) {
      return { mounts: (await of(context, snapshotter).view(key, parent, labels)).map(mountToMessage) };
    },
    async mounts({ snapshotter, key }, context) {
      return { mounts: (await of(context, snapshotter).mounts(key)).map(mountToMessage) };
    },
    async commit({ snapshotter, name, key, labels }, context) {
      await of(context, snapshotter).commit(name, key, labels);
      return {};
    },
    async remove({ snapshotter, key }, context) {
      await of(context, snapshotter).remove(key);
      return {};
    },
    async stat({ snapshotter, key }, context) {
      return { info: snapshotToMessage(await of(context, snapshotter).stat(key)) };
    },
    async update({ snapshotter, info, updateMask }, context) {
      const { name, labels } = required(info, "info");
      const next = await of(context, snapshotter).update({ name, labels }, fieldsFromMessage(updateMask));
      return { info: snapshotToMessage(next) };
    },
    async *list({ snapshotter, filters }, context) {
      const all = await of(context, snapshotter).list(filters);
      for (let at = 0; at < all.length; at += LIST_PAGE) {
        yield { info: all.slice(at, at + LIST_PAGE).map(snapshotToMessage) };
      }
    },
    async usage({ snapshotter, key }, context) {
      const { size, inodes } = await of(context, snapshotter).usage(key);
      return { size: BigInt(size), inodes: BigInt(inodes) };
    },
    async cleanup({ snapshotter }, context) {
      await of(context, snapshotter).cleanup();
      return {};
    },
  };
}
