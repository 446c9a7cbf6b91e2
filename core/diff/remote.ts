// The diff service of a containerd elsewhere, over gRPC.

import { Diff } from "../../api/containerd/gen/diff.ts";
import type { Headers } from "../../wire/call.ts";
import type { GrpcClient } from "../../wire/grpc/client.ts";
import { descriptorFromMessage, descriptorToMessage, mountToMessage } from "../messages.ts";
import type { DiffService } from "./diff.ts";

export function remoteDiff(client: GrpcClient, headers: Headers): DiffService {
  const calls = client.of(Diff, headers);
  return {
    apply: async (layer, mounts) => {
      const request = { diff: descriptorToMessage(layer), mounts: mounts.map(mountToMessage), syncFs: true };
      return descriptorFromMessage((await calls.apply(request)).applied);
    },
    compare: async (lower, upper, options) => {
      const mounts = { left: lower.map(mountToMessage), right: upper.map(mountToMessage) };
      const request = { ...mounts, ...options, labels: { ...options.labels } };
      return descriptorFromMessage((await calls.diff(request)).diff);
    },
  };
}
