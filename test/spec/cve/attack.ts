// What the tests of known attacks share: attackers compiled from attack/*.c without libraries, so that they run in any
// root; a copy of the runtime that may be lost; settings of config.json that come back.

import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Config, OURS, type RuntimeBench } from "../../bundle.ts";

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), "attack");

export type Attacker = "overwrite" | "peek" | "swap" | "calls";
export type Bend = (config: Config) => void;

/** Compiles an attacker to `path`. */
export function build(attacker: Attacker, path: string): string {
  const source = join(SOURCES, `${attacker}.c`);
  const made = spawnSync("cc", ["-O1", "-static", "-w", "-o", path, source], { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
  return path;
}

/** The runtime under its own name in another place. */
export function copyOfRuntime(bench: RuntimeBench): string {
  const path = join(bench.path, "copy/runc");
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(OURS, path);
  return path;
}

/** Runs the runtime with descriptors from 3 on that it was not asked to keep. */
export function withOpen(bench: RuntimeBench, open: readonly number[], args: readonly string[]) {
  const line = ["--root", bench.rootOf(OURS), "--log", bench.logOf(OURS), "--log-format", "json", ...args];
  const files = args[0] === "create" || args.includes("--detach");
  const standard = files ? "ignore" : "pipe";
  return spawnSync(OURS, line, {
    ...{ cwd: bench.path, encoding: "utf8", timeout: 30_000 },
    stdio: ["ignore", standard, standard, ...open],
  }) as SpawnSyncReturns<string>;
}

/** An attacker on the host side, ended with the scope. */
export function race(program: string, args: readonly string[]): Disposable {
  const child = spawn(program, args, { stdio: "ignore" });
  return { [Symbol.dispose]: () => child.kill("SIGKILL") };
}

/** Keeps all rights a container of this machine can have. */
export const withAllRights: Bend = (config) => {
  const names =
    "CHOWN DAC_OVERRIDE FOWNER SETGID SETUID KILL NET_ADMIN SYS_ADMIN SYS_PTRACE SYS_CHROOT MKNOD DAC_READ_SEARCH";
  const all = names.split(" ").map((name) => `CAP_${name}`);
  config.process.capabilities = { bounding: all, effective: all, permitted: all };
};

export function withoutMount(config: Config, ...destinations: readonly string[]): void {
  config.mounts = config.mounts.filter(({ destination }: Config) => !destinations.includes(destination));
}
