// The mounts that make a task's root filesystem: what the snapshotter asked for, made before the runtime is called and
// undone after it is done.

import type { Mount } from "../../api/containerd/gen/types.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { EBUSY, errnoOf, must } from "../../linux/errno.ts";
import * as fd from "../../linux/fd.ts";
import * as m from "../../linux/mount.ts";
import { SYS_fchdir } from "../../linux/numbers.ts";
import { startProgram } from "./call/program.ts";
import { findProgram } from "./call/runc.ts";
import { commonDirectory, mountMapped, withMappedLayers } from "./idmapped.ts";
import { CONFIG_LIMIT, MOUNT_DATA_LIMIT } from "./limits.ts";
import { attachLoop } from "./loop-device.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";
import type { Reaper } from "./reaper.ts";

/** Types whose mount is made by a program of that name. */
const HELPERS = ["fuse", "fuse3"];

/** Mounts all of them, or none. */
export async function mountRootfs(mounts: readonly Mount[], rootfs: string, reaper: Reaper): Promise<void> {
  if (mounts.length === 0) return;
  fd.makeDirectories(rootfs, 0o711);
  try {
    for (const one of mounts) await mountOne(one, rootfs, reaper);
  } catch (thrown) {
    unmountAll(rootfs);
    throw new Failure("unknown", `failed to mount rootfs component: ${messageOf(thrown)}`, { cause: thrown });
  }
}

/** Everything that is stacked on the path or mounted below it. */
export function unmountAll(path: string): void {
  try {
    while (m.unmountIfMounted(path, m.UMOUNT_NOFOLLOW));
  } catch (thrown) {
    if (errnoOf(thrown) !== EBUSY) throw thrown;
    for (const below of mountsBelow(path)) m.unmountIfMounted(below, m.UMOUNT_NOFOLLOW | m.MNT_DETACH);
    // Somebody's working directory, or a process that is about to end: the name is free from now on.
    while (m.unmountIfMounted(path, m.UMOUNT_NOFOLLOW | m.MNT_DETACH));
  }
}

/** The last one made first. */
function mountsBelow(path: string): string[] {
  const targets = fd
    .readText("/proc/self/mountinfo", CONFIG_LIMIT)
    .split("\n")
    .map((line) =>
      (line.split(" ")[4] ?? "").replace(/\\(\d{3})/g, (_, code) => String.fromCharCode(parseInt(code, 8))),
    );
  return targets.filter((target) => target.startsWith(`${path}/`)).reverse();
}

async function mountOne(one: Mount, rootfs: string, reaper: Reaper): Promise<void> {
  const [helper, type] = one.type.includes(".") ? one.type.split(/\.(.*)/s) : ["", one.type];
  const place = placeOf(rootfs, one.target);
  if (HELPERS.includes(helper!)) return mountByHelper(`mount.${helper}`, { ...one, type: type! }, { place, reaper });
  if (one.type.includes("/")) {
    throw new Failure("unimplemented", `mount type "${one.type}" is for the daemon's mount manager`);
  }
  const options = parseMountOptions(one.options);
  if (options.loop === null) return mountPlain(one, place, options);
  const readOnly = (options.flags & m.MS_RDONLY) !== 0;
  using device = attachLoop(one.source, { readOnly, direct: options.loop.direct });
  mountPlain({ ...one, source: device.path }, place, options);
}

/** A mount below the root never leaves it, wherever a link of the image leads. Nothing of the container runs yet. */
function placeOf(rootfs: string, target: string): string {
  if (target === "") return rootfs;
  using root = fd.open(rootfs, fd.O_PATH | fd.O_DIRECTORY);
  using at = m.openInRoot(root.number, target, fd.O_PATH);
  return fd.readLink(`/proc/self/fd/${at.number}`);
}

function mountPlain({ source, type: given }: Mount, target: string, options: MountOptions): void {
  const { flags, propagation, data, idmap } = options;
  const bind = (flags & m.MS_BIND) !== 0;
  const type = given === "bind" ? "" : given;
  const call = { source, target, type, flags: bind ? flags & (m.MS_BIND | m.MS_REC) : flags };
  if (idmap !== null && type === "overlay") {
    const place = `${target}.idmapped`;
    withMappedLayers(data, { ...idmap, place }, (mapped) => callMount({ ...call, data: mapped }));
  } else callMount({ ...call, data });
  const more = flags & ~(m.MS_BIND | m.MS_REC);
  // A bind takes its other flags only in a second step.
  if (bind && more !== 0) callMount({ source: null, target, type: "", flags: flags | m.MS_REMOUNT, data: [] });
  if (idmap !== null && type !== "overlay") mountMapped(target, target, idmap);
  if (propagation !== 0) callMount({ source: null, target, type: "", flags: propagation, data: [] });
}

interface Call {
  source: string | null;
  target: string;
  type: string;
  flags: number;
  data: string[];
}

function callMount(call: Call): void {
  try {
    callWithShortOptions(call);
  } catch (thrown) {
    const { source, target, type, flags, data } = call;
    const what = `source: "${source ?? ""}", target: "${target}", fstype: ${type}, flags: ${flags}, data: "${data}"`;
    const reason = messageOf(thrown).replace(/^mount \S+: /, "");
    throw new Failure("unknown", `mount ${what}, err: ${reason}`, { cause: thrown });
  }
}

function callWithShortOptions(call: Call): void {
  const text = call.data.join(",");
  const { source, target, type, flags } = call;
  if (text.length < MOUNT_DATA_LIMIT) {
    m.mount({ source, target, type, flags, data: text });
    return;
  }
  using before = fd.open(".", fd.O_PATH | fd.O_DIRECTORY);
  const short = fromCommonDirectory(call.data);
  try {
    fd.changeDirectory(short.directory);
    m.mount({ source, target, type, flags, data: short.data.join(",") });
  } finally {
    must("fchdir", "", door().syscall(SYS_fchdir, before.number));
  }
}

/** Many layers: their directories relative to what they have in common, from where the mount is made. */
function fromCommonDirectory(data: readonly string[]): { directory: string; data: string[] } {
  const lower = data.find((option) => option.startsWith("lowerdir="));
  const layers = lower?.slice("lowerdir=".length).split(":") ?? [];
  const directory = commonDirectory(layers);
  if (layers.length < 2 || directory.length < 2) throw new Failure("invalid_argument", "mount options is too long");
  const relative = `lowerdir=${layers.map((layer) => layer.slice(directory.length)).join(":")}`;
  return { directory, data: data.map((option) => (option === lower ? relative : option)) };
}

/** `mount.fuse3 <source> <target> -o <option> … -t <type>`. What it starts to serve the files outlives this call. */
async function mountByHelper(name: string, one: Mount, { place, reaper }: { place: string; reaper: Reaper }) {
  const options = one.options.flatMap((option) => ["-o", option]);
  const args = [one.source, place, ...options, "-t", one.type];
  const descriptors = [null, null, null];
  const pid = startProgram({ path: findProgram(name), args, env: door().env, descriptors, tied: false });
  const { code } = await reaper.exitOf(pid);
  if (code !== 0) throw new Failure("unknown", `mount helper [${name} ${args.join(" ")}] failed: exit status ${code}`);
}
