// Records with their times to the nanosecond, as `info` prints them: the nouns keep milliseconds.

import { Containers } from "../../../api/containerd/gen/containers.ts";
import { Snapshots } from "../../../api/containerd/gen/snapshots.ts";
import type { Timestamp } from "../../../api/wellknown/gen/time.ts";
import type { Container } from "../../../core/containers/containers.ts";
import { containerFromMessage } from "../../../core/containers/remote.ts";
import { nanosecondsFromMessage } from "../../../core/messages.ts";
import { snapshotFromMessage } from "../../../core/snapshots/remote.ts";
import type { SnapshotInfo } from "../../../core/snapshots/snapshots.ts";
import type { Session } from "./session.ts";

export interface ExactTimes {
  /** Nanoseconds since 1970. */
  readonly createdAt: bigint;
  readonly updatedAt: bigint;
}

function timesOf(message: { createdAt: Timestamp | null; updatedAt: Timestamp | null } | null): ExactTimes {
  return {
    createdAt: nanosecondsFromMessage(message?.createdAt ?? null),
    updatedAt: nanosecondsFromMessage(message?.updatedAt ?? null),
  };
}

export async function exactContainer(
  session: Session,
  id: string,
): Promise<{ container: Container; times: ExactTimes }> {
  const { container } = await session.containerd.client.of(Containers, session.headers).get({ id });
  return { container: containerFromMessage(container), times: timesOf(container) };
}

export async function exactSnapshot(
  session: Session,
  snapshotter: string,
  key: string,
): Promise<{ info: SnapshotInfo; times: ExactTimes }> {
  const { info } = await session.containerd.client.of(Snapshots, session.headers).stat({ snapshotter, key });
  return { info: snapshotFromMessage(info), times: timesOf(info) };
}
