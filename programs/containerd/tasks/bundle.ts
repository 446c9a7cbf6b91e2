// A task's bundle: the directory in which its shim runs and in which containerd finds it again after a restart.
//
//     <state>/io.containerd.runtime.v2.task/<namespace>/<id>/   config.json rootfs/ log(FIFO) work→ runtime
//                                                               shim-binary-path bootstrap.json options.json …
//     <root>/io.containerd.runtime.v2.task/<namespace>/<id>/    the work directory, which outlives a reboot
//
// Removing one never goes into its rootfs: that may be a mount of the container's layers. It must be gone by rmdir.

import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Failure } from "../../../base/errors.ts";

const TASKS = "io.containerd.runtime.v2.task";

export interface BundlePlace {
  namespace: string;
  id: string;
}

/** What is needed to reach a shim: bootstrap.json, as containerd 2 writes it. */
export interface ShimAddress {
  version: number;
  address: string;
  protocol: string;
}

export class Bundles {
  private readonly root: string;
  private readonly state: string;

  constructor(root: string, state: string) {
    this.root = join(root, TASKS);
    this.state = join(state, TASKS);
    mkdirSync(this.root, { recursive: true, mode: 0o711 });
    mkdirSync(this.state, { recursive: true, mode: 0o711 });
  }

  path(place: BundlePlace): string {
    return join(this.state, place.namespace, place.id);
  }

  /** `config`: the OCI spec as JSON bytes. Throws "already_exists" when the directory is there. */
  create(place: BundlePlace, config: Uint8Array): string {
    const path = this.path(place);
    const work = join(this.root, place.namespace, place.id);
    mkdirSync(join(this.state, place.namespace), { recursive: true, mode: 0o711 });
    mkdirSync(join(this.root, place.namespace), { recursive: true, mode: 0o711 });
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
      throw new Failure("already_exists", `bundle of task ${place.id}: already exists`);
    }
    try {
      const group = mappedRoot(config);
      if (group !== null) {
        chownSync(path, -1, group);
        chmodSync(path, 0o710);
      }
      rmSync(work, { recursive: true, force: true });
      mkdirSync(work, { mode: 0o711 });
      symlinkSync(work, join(path, "work"));
      mkdirSync(join(path, "rootfs"), { mode: 0o711 });
      writeFileSync(join(path, "config.json"), config, { mode: 0o644 });
    } catch (thrown) {
      this.remove(place);
      throw thrown;
    }
    return path;
  }

  /** False when its rootfs is still a mount point: then everything stays. */
  remove(place: BundlePlace): boolean {
    const path = this.path(place);
    try {
      rmdirSync(join(path, "rootfs"));
    } catch (thrown) {
      const code = (thrown as NodeJS.ErrnoException).code;
      if (code !== "ENOENT") return false;
    }
    rmSync(join(this.root, place.namespace, place.id), { recursive: true, force: true });
    rmSync(path, { recursive: true, force: true });
    return true;
  }

  list(): BundlePlace[] {
    const places: BundlePlace[] = [];
    for (const namespace of directories(this.state)) {
      for (const id of directories(join(this.state, namespace))) places.push({ namespace, id });
    }
    return places;
  }

  /** Work directories whose bundle went with a reboot. */
  removeOrphanedWork(): void {
    for (const namespace of directories(this.root)) {
      const alive = new Set(directories(join(this.state, namespace)));
      for (const id of directories(join(this.root, namespace))) {
        if (!alive.has(id)) rmSync(join(this.root, namespace, id), { recursive: true, force: true });
      }
    }
  }

  /** From bootstrap.json, or from the `address` file of older shims; null when there is neither. */
  readAddress(place: BundlePlace): ShimAddress | null {
    const path = this.path(place);
    try {
      return parseAddress(readFileSync(join(path, "bootstrap.json"), "utf8"));
    } catch {
      // Next.
    }
    try {
      return parseAddress(readFileSync(join(path, "address"), "utf8"));
    } catch {
      return null;
    }
  }

  readShimPath(place: BundlePlace): string | null {
    try {
      return readFileSync(join(this.path(place), "shim-binary-path"), "utf8");
    } catch {
      return null;
    }
  }
}

/** The JSON of containerd 2, or the bare address of before (which means version 2 over ttrpc). */
export function parseAddress(text: string): ShimAddress {
  const trimmed = text.trim();
  if (!trimmed.startsWith("{")) {
    if (!/^unix:\/\/\S+$/.test(trimmed)) throw new Failure("unknown", `the shim's answer is no address: ${text}`);
    return { version: 2, address: trimmed, protocol: "ttrpc" };
  }
  const { version, address, protocol } = JSON.parse(trimmed) as Partial<ShimAddress>;
  if (typeof address !== "string") throw new Failure("unknown", `the shim's answer has no address: ${text}`);
  return { version: version ?? 2, address, protocol: protocol ?? "ttrpc" };
}

/** The group that root of a user namespace has outside, or null without one. */
function mappedRoot(config: Uint8Array): number | null {
  const text = Buffer.from(config.buffer, config.byteOffset, config.length).toString("utf8");
  if (!text.includes('"gidMappings"')) return null;
  const { linux } = JSON.parse(text) as { linux?: { gidMappings?: { containerID: number; hostID: number }[] } };
  return linux?.gidMappings?.find((mapping) => mapping.containerID === 0)?.hostID ?? null;
}

function directories(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map((entry) => entry.name);
  } catch {
    return [];
  }
}
