// A snapshotter of a containerd elsewhere, over gRPC; and a snapshot's record as a message.

import { type Info, Snapshots } from "../../api/containerd/gen/snapshots.ts";
import type { Headers } from "../../wire/call.ts";
import type { GrpcClient } from "../../wire/grpc/client.ts";
import { maskToMessage, required, timeFromMessage, timeToMessage } from "../messages.ts";
import type { SnapshotInfo, SnapshotKind, SnapshotStore } from "./snapshots.ts";

const KINDS: readonly (SnapshotKind | null)[] = [null, "view", "active", "committed"];

export function remoteSnapshots(client: GrpcClient, headers: Headers, snapshotter: string): SnapshotStore {
  const calls = client.of(Snapshots, headers);
  return {
    prepare: async (key, parent, labels) => {
      return (await calls.prepare({ snapshotter, key, parent, labels: { ...labels } })).mounts;
    },
    view: async (key, parent, labels) => (await calls.view({ snapshotter, key, parent, labels: { ...labels } })).mounts,
    mounts: async (key) => (await calls.mounts({ snapshotter, key })).mounts,
    commit: async (name, key, labels) => void (await calls.commit({ snapshotter, name, key, labels: { ...labels } })),
    remove: async (key) => void (await calls.remove({ snapshotter, key })),
    stat: async (key) => snapshotFromMessage((await calls.stat({ snapshotter, key })).info),
    update: async (info, fields) => {
      const message = snapshotToMessage({ ...EMPTY, ...info });
      const answer = await calls.update({ snapshotter, info: message, updateMask: maskToMessage(fields) });
      return snapshotFromMessage(answer.info);
    },
    list: async (filters) => {
      const all: SnapshotInfo[] = [];
      for await (const page of calls.list({ snapshotter, filters: [...filters] })) {
        all.push(...page.info.map(snapshotFromMessage));
      }
      return all;
    },
    usage: async (key) => {
      const { size, inodes } = await calls.usage({ snapshotter, key });
      return { size: Number(size), inodes: Number(inodes) };
    },
    cleanup: async () => void (await calls.cleanup({ snapshotter })),
  };
}

const EMPTY: SnapshotInfo = { name: "", parent: "", kind: "active", createdAt: 0, updatedAt: 0, labels: {} };

export function snapshotFromMessage(message: Info | null): SnapshotInfo {
  const { name, parent, kind, createdAt, updatedAt, labels } = required(message, "snapshot");
  const times = { createdAt: timeFromMessage(createdAt), updatedAt: timeFromMessage(updatedAt) };
  return { name, parent, kind: KINDS[kind] ?? "active", labels, ...times };
}

export function snapshotToMessage(info: SnapshotInfo): Info {
  const { name, parent, labels } = info;
  const times = { createdAt: timeToMessage(info.createdAt), updatedAt: timeToMessage(info.updatedAt) };
  return { name, parent, kind: KINDS.indexOf(info.kind), labels: { ...labels }, ...times };
}
