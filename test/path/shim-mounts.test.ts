// Root filesystems that a shim puts together from what a snapshotter asks for: binds, overlays, loop devices, mapped
// ids, mounts inside mounts; and that nothing of them is left.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Mount } from "../../api/containerd/gen/types.ts";
import { ShimLab, skip } from "./shim-lab.ts";

const MKFS = "/usr/sbin/mkfs.ext4";
const loop = existsSync(MKFS) && existsSync("/dev/loop-control") ? skip : "needs mkfs.ext4 and loop devices";

/** The bundle's root filesystem moves aside, so that a mount can bring it back. */
function aside(lab: ShimLab): string {
  const source = join(lab.folder, "source");
  cpSync(join(lab.path, "rootfs"), source, { recursive: true, verbatimSymlinks: true });
  spawnSync("find", [join(lab.path, "rootfs"), "-mindepth", "1", "-delete"]);
  return source;
}

function mounted(lab: ShimLab): string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return lines.filter((line) => line.includes(lab.path) || line.includes(lab.folder));
}

async function outputOf(lab: ShimLab, rootfs: Partial<Mount>[]): Promise<{ text: string; status: number }> {
  const log = join(lab.folder, "out");
  const mounts = rootfs.map((one) => ({ type: "", source: "", target: "", options: [], ...one }));
  await lab.create({ rootfs: mounts, stdout: `file://${log}` });
  await lab.task.start({ id: lab.id });
  const { exitStatus } = await lab.task.wait({ id: lab.id });
  const text = readFileSync(log, "utf8");
  await lab.task.delete({ id: lab.id });
  assert.deepEqual(mounted(lab), []);
  return { text, status: exitStatus };
}

function loopDevices(file: string): string {
  return spawnSync("losetup", ["-j", file], { encoding: "utf8" }).stdout;
}

function imageOf(lab: ShimLab): string {
  const [source, image] = [aside(lab), join(lab.folder, "image")];
  writeFileSync(image, "");
  truncateSync(image, 16 << 20);
  const made = spawnSync(MKFS, ["-q", "-d", source, image], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  return image;
}

test("a filesystem in a file is mounted through a loop device that goes with it", { skip: loop }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "echo found > /new; cat /new; ls /lost+found && echo ext4"]);
  const image = imageOf(lab);
  const { text } = await outputOf(lab, [{ type: "ext4", source: image, options: ["loop"] }]);
  assert.equal(text, "found\next4\n");
  await lab.eventually("the loop device's end", () => loopDevices(image) === "");
});

test("a loop device asked for read-only cannot be written to", { skip: loop }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "touch /new && echo writable || echo read-only"]);
  const image = imageOf(lab);
  const { text } = await outputOf(lab, [{ type: "ext4", source: image, options: ["loop", "ro", "direct-io"] }]);
  assert.equal(text, "read-only\n");
  await lab.eventually("the loop device's end", () => loopDevices(image) === "");
});

test("a loop mount that fails leaves no device behind", { skip: loop }, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  const image = join(lab.folder, "image");
  writeFileSync(image, "no filesystem".repeat(1000));
  const request = { rootfs: [{ type: "ext4", source: image, target: "", options: ["loop"] }] };
  await assert.rejects(lab.create(request), /failed to mount rootfs component: mount source: "\/dev\/loop\d+", .*ext4/);
  await lab.eventually("the loop device's end", () => loopDevices(image) === "");
  assert.deepEqual(mounted(lab), []);
});

test("a mount below the root stays below it, whatever a link of the image says", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/sh", "-c", "cat /inside/extra/file"]);
  const [source, extra] = [aside(lab), join(lab.folder, "extra")];
  mkdirSync(join(source, "inside"));
  mkdirSync(join(source, "tmp/extra"), { recursive: true });
  // Absolute from the container's point of view.
  symlinkSync("/tmp/extra", join(source, "inside/extra"));
  mkdirSync(extra);
  writeFileSync(join(extra, "file"), "from a mount below\n");
  const { text } = await outputOf(lab, [
    { type: "bind", source, options: ["rbind", "rw"] },
    { type: "bind", source: extra, target: "inside/extra", options: ["rbind", "ro"] },
  ]);
  assert.equal(text, "from a mount below\n");
});

test("mapped ids make a bind and an overlay belong to the container's root", { skip }, async () => {
  for (const type of ["bind", "overlay"]) {
    await using lab = await ShimLab.start(["/bin/stat", "-c", "%u:%g", "/bin/busybox"]);
    const source = aside(lab);
    symlinkSync("busybox", join(source, "bin/stat"));
    for (const name of ["upper", "work", "empty"]) mkdirSync(join(lab.folder, name));
    const maps = ["uidmap=0:100000:65536", "gidmap=0:100000:65536"];
    const layers = [`lowerdir=${source}:${lab.folder}/empty`, `upperdir=${lab.folder}/upper`];
    const overlay = { type, source: "overlay", options: [...layers, `workdir=${lab.folder}/work`, ...maps] };
    const rootfs = type === "bind" ? { type, source, options: ["rbind", ...maps] } : overlay;
    assert.equal((await outputOf(lab, [rootfs])).text, "100000:100000\n");
  }
});

test("what is the mount manager's work is refused with its name", { skip }, async () => {
  await using lab = await ShimLab.start(["/bin/true"]);
  const refused = async (mount: Partial<Mount>, words: RegExp) => {
    await assert.rejects(lab.create({ rootfs: [{ type: "", source: "", target: "", options: [], ...mount }] }), words);
  };
  await refused(
    { type: "bind", options: ["X-containerd.mkfs.fs=ext4"] },
    /"X-containerd.mkfs.fs=ext4" was not consumed/,
  );
  await refused({ type: "format/mkdir/overlay" }, /"format\/mkdir\/overlay" is for the daemon's mount manager/);
  await refused(
    { type: "bind", source: lab.folder, options: ["rbind", "uidmap=x", "gidmap=y"] },
    /id mapping x is not/,
  );
  await refused({ type: "fuse3.nothing", source: "x" }, /mount helper|mount.fuse3.*not found/);
  assert.deepEqual(mounted(lab), []);
});
