// The overlayfs snapshotter's directories: snapshots/<n>/{fs,work}, numbered once and never reused.
// Called by overlay.ts, which holds the records.

import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { chmod, chown, lstat, mkdir, opendir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Mount } from "../values.ts";
import type { SnapshotUsage } from "./snapshots.ts";

const BLOCK = 512; // bytes per unit of st_blocks

export class SnapshotDirectories {
  readonly root: string;
  private readonly extra: readonly string[];

  constructor(root: string) {
    this.root = root;
    mkdirSync(join(root, "snapshots"), { recursive: true, mode: 0o700 });
    // Without this, a lower directory that was copied to another disk makes overlayfs refuse to mount.
    this.extra = existsSync("/sys/module/overlay/parameters/index") ? ["index=off"] : [];
  }

  fs(number: number): string {
    return join(this.root, "snapshots", String(number), "fs");
  }

  numbers(): number[] {
    return readdirSync(join(this.root, "snapshots"))
      .filter((name) => /^[1-9]\d*$/.test(name))
      .map(Number);
  }

  /** The root of a new layer belongs to whom its parent's root belongs, with the same mode. */
  async make(number: number, options: { work: boolean; parent: number | null }): Promise<void> {
    const fs = this.fs(number);
    await mkdir(fs, { recursive: true, mode: 0o755 });
    if (options.work) await mkdir(join(fs, "../work"), { mode: 0o711 });
    if (options.parent === null) return;
    const parent = await stat(this.fs(options.parent));
    if (parent.uid !== 0 || parent.gid !== 0) await chown(fs, parent.uid, parent.gid);
    if ((parent.mode & 0o7777) !== 0o755) await chmod(fs, parent.mode & 0o7777);
  }

  /** `chain`: the layer itself first, then its parents, nearest first. */
  mounts(chain: readonly number[], writable: boolean): Mount[] {
    const [own, ...parents] = chain as [number, ...number[]];
    if (parents.length === 0 || (!writable && parents.length === 1)) {
      const source = this.fs(writable || parents.length === 0 ? own : parents[0]!);
      return [{ type: "bind", source, target: "", options: [writable ? "rw" : "ro", "rbind"] }];
    }
    const lower = `lowerdir=${parents.map((number) => this.fs(number)).join(":")}`;
    const upper = [`workdir=${join(this.fs(own), "../work")}`, `upperdir=${this.fs(own)}`];
    const options = [...this.extra, ...(writable ? upper : []), lower];
    return [{ type: "overlay", source: "overlay", target: "", options }];
  }

  /** Sets the directory aside at once; `sweep` removes what was set aside, which may take long. */
  async retire(number: number): Promise<void> {
    const from = join(this.root, "snapshots", String(number));
    await rename(from, join(this.root, "snapshots", `removed-${number}`)).catch(ignoreMissing);
  }

  async sweep(): Promise<void> {
    for (const name of readdirSync(join(this.root, "snapshots"))) {
      if (!name.startsWith("removed-")) continue;
      await rm(join(this.root, "snapshots", name), { recursive: true, force: true, maxRetries: 2 });
    }
  }

  async usage(number: number): Promise<SnapshotUsage> {
    const total = { size: 0, inodes: 0 };
    await addUsage(this.fs(number), total, new Set());
    return total;
  }
}

async function addUsage(path: string, total: { size: number; inodes: number }, linked: Set<string>): Promise<void> {
  const facts = await lstat(path).catch(() => null);
  if (facts === null) return;
  if (facts.nlink > 1 && !facts.isDirectory()) {
    const identity = `${facts.dev}:${facts.ino}`;
    if (linked.has(identity)) return;
    linked.add(identity);
  }
  total.size += facts.blocks * BLOCK;
  total.inodes++;
  if (!facts.isDirectory()) return;
  for await (const entry of await opendir(path)) await addUsage(join(path, entry.name), total, linked);
}

function ignoreMissing(thrown: unknown): void {
  if ((thrown as { code?: string }).code !== "ENOENT") throw thrown;
}
