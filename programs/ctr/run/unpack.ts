// An image's layers as snapshots, under a lease while it is done.

import type { Image } from "../../../core/images/images.ts";
import { type Unpacked, unpackImage as unpack } from "../../../core/images/unpack.ts";
import type { Session } from "../call/session.ts";

export const DEFAULT_SNAPSHOTTER = "overlayfs";

/** The snapshotter named on the command line, else the namespace's, else the default. */
export async function snapshotterOf(session: Session, named: string): Promise<string> {
  if (named !== "") return named;
  return (await namespaceDefault(session, "snapshotter")) ?? DEFAULT_SNAPSHOTTER;
}

/** A default that an administrator wrote into the namespace's labels. */
export async function namespaceDefault(session: Session, what: "snapshotter" | "runtime"): Promise<string | null> {
  try {
    const { labels } = await session.containerd.namespaces.get(session.namespace);
    return labels[`containerd.io/defaults/${what}`] ?? null;
  } catch {
    return null; // it comes into being with its first record
  }
}

export async function unpackImage(session: Session, image: Image, snapshotter: string): Promise<Unpacked> {
  const name = await snapshotterOf(session, snapshotter);
  return session.leased((nouns) => unpack(nouns, image.target, { snapshotter: name }));
}
