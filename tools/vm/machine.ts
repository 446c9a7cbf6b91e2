// One boot of the virtual machine: a script goes in, its output comes out as it is written, and its exit code at the
// end. Software emulation throughout: some hosts offer /dev/kvm and hang on it. Called by main.ts.
//
//     qemu ── kernel, initrd, disk (changes thrown away) ── systemd or a plain init ── job: script ── power off

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { layout } from "../build/paths.ts";
import type { Image } from "./image.ts";

/** From power on to power off, in milliseconds. */
export const MACHINE_TIMEOUT = 1_200_000;
/** Until the job has said its first word, in milliseconds. */
const BOOT_TIMEOUT = 180_000;
const MEMORY = "2048M";
const CPUS = "2";
/** Of the console, shown when the machine failed. */
const CONSOLE_LINES = 40;
/** What the job says before anything else; the rest is the script's. */
const GREETING = "gantry: the machine is up\n";

export interface Job {
  /** Run by the guest's bash. The checkout is at /gantry, read-only. */
  script: string;
  /** No systemd: a plain init, and cgroup v2 alone all the same. */
  plain: boolean;
}

/** The script's exit code; throws when the machine did not come up or did not end by itself. */
export async function runMachine(image: Image, job: Job): Promise<number> {
  mkdirSync(join(layout.work, "vm"), { recursive: true });
  const folder = mkdtempSync(join(layout.work, "vm/run-"));
  const file = (name: string) => join(folder, name);
  try {
    writeFileSync(file("job"), `echo '${GREETING.trim()}'\n${job.script}\n`);
    for (const name of ["status", "console"]) writeFileSync(file(name), "");
    const ended = await boot(qemuLine(image, job, file));
    const status = readFileSync(file("status"), "utf8").trim();
    if (ended !== null || status === "") {
      const tail = readFileSync(file("console"), "utf8").trimEnd().split("\n").slice(-CONSOLE_LINES).join("\n");
      throw new Error(`the virtual machine ${ended ?? "ended before its job"}; the end of its console:\n${tail}`);
    }
    return Number(status);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Null when qemu ended by itself; else what went wrong. */
function boot(line: readonly string[]): Promise<string | null> {
  // Its input stays open: at the end of it qemu would call the port that carries the output closed.
  const child = spawn("qemu-system-x86_64", line, { stdio: ["pipe", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let wrong: string | null = null;
    const stop = (why: string) => {
      wrong ??= why;
      child.kill("SIGKILL");
    };
    const whole = setTimeout(() => stop(`was still busy after ${MACHINE_TIMEOUT} ms`), MACHINE_TIMEOUT);
    const start = setTimeout(() => stop(`was not up after ${BOOT_TIMEOUT} ms`), BOOT_TIMEOUT);
    const interrupted = (signal: NodeJS.Signals) => stop(`was interrupted by ${signal}`);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, interrupted);
    let greeting: string | null = "";
    child.stdout.on("data", (part: Buffer) => {
      if (greeting === null) {
        process.stdout.write(part);
        return;
      }
      greeting += part.toString("latin1");
      if (greeting.length < GREETING.length) return;
      clearTimeout(start);
      process.stdout.write(Buffer.from(greeting.slice(GREETING.length), "latin1"));
      greeting = null;
    });
    child.once("error", (error) => reject(new Error(`qemu-system-x86_64 cannot be started: ${error.message}`)));
    child.once("close", (code) => {
      clearTimeout(whole);
      clearTimeout(start);
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.removeListener(signal, interrupted);
      resolve(wrong ?? (code === 0 ? null : `ended with qemu's code ${code}`));
    });
  });
}

function qemuLine(image: Image, job: Job, file: (name: string) => string): string[] {
  const kernel = `console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on systemd.show_status=0 tsc=reliable`;
  return [
    ["-accel", "tcg,thread=multi", "-machine", "q35,usb=off,hpet=off", "-cpu", "max", "-smp", CPUS, "-m", MEMORY],
    ["-nodefaults", "-no-reboot", "-display", "none", "-nic", "none"],
    ["-kernel", image.kernel, "-initrd", image.initrd, "-append", `${kernel}${job.plain ? " gantry.plain" : ""}`],
    // Every boot begins with the disk as it was built; several machines may share it.
    ["-drive", `file=${image.disk},format=raw,if=virtio,snapshot=on,cache=unsafe`],
    ["-serial", `file:${file("console")}`],
    ["-device", "virtio-serial-pci", "-chardev", "stdio,id=output,signal=off"],
    ["-device", "virtserialport,chardev=output,name=gantry.output"],
    [
      "-chardev",
      `file,id=status,path=${file("status")}`,
      "-device",
      "virtserialport,chardev=status,name=gantry.status",
    ],
    ["-device", "virtio-rng-pci", "-fw_cfg", `name=opt/gantry/job,file=${file("job")}`],
    // Remapped: where the checkout lies on several devices two files may have one inode number, and the guest, which
    // knows files by it, would see the one's content in the other.
    ["-fsdev", `local,id=checkout,path=${layout.root},security_model=none,readonly=on,multidevs=remap`],
    ["-device", "virtio-9p-pci,fsdev=checkout,mount_tag=checkout"],
  ].flat();
}
