// The daemon's folders: makes them, refuses those of another engine, and holds the pid file, so that two daemons never
// share a data root.

import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { Failure } from "../../base/errors.ts";

/** What only another engine makes in a data root. */
const FOREIGN = [
  "overlay2",
  "image",
  "network/files/local-kv.db",
  "volumes/metadata.db",
  "buildkit/metadata_v2.db",
  "swarm/docker-state.json",
];
const OWNER_FILE = "dockerd.owner";

export function prepareDataRoot(dataRoot: string): void {
  for (const mark of FOREIGN) {
    const path = join(dataRoot, mark);
    if (!existsSync(path)) continue;
    throw new Failure(
      "failed_precondition",
      `the data root ${dataRoot} belongs to another engine (it has ${mark}); ` +
        "Gantry does not touch it: choose another folder with --data-root",
    );
  }
  mkdirSync(dataRoot, { recursive: true, mode: 0o710 });
  mkdirSync(join(dataRoot, "containers"), { recursive: true, mode: 0o710 });
}

export function prepareExecRoot(execRoot: string): void {
  mkdirSync(execRoot, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(execRoot)) {
    if (name.startsWith("spill-")) rmSync(join(execRoot, name), { force: true });
  }
}

/** Says which process owns a file or a folder; dispose gives it back. Throws when a living daemon has it. */
export function claimPidfile(path: string): Disposable {
  const holder = holderOf(path);
  if (holder !== null) {
    throw new Failure(
      "failed_precondition",
      `failed to start daemon, ensure docker is not running or delete ${path}: ` +
        `process with PID ${holder} is still running`,
    );
  }
  rmSync(path, { force: true });
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const fd = openSync(path, "wx", 0o644);
  writeSync(fd, String(process.pid));
  closeSync(fd);
  return {
    [Symbol.dispose]: () => {
      if (readPid(path) === process.pid) rmSync(path, { force: true });
    },
  };
}

export function claimDataRoot(dataRoot: string): Disposable {
  const path = join(dataRoot, OWNER_FILE);
  const holder = holderOf(path);
  if (holder !== null) {
    throw new Failure("failed_precondition", `the data root ${dataRoot} is in use by another daemon, PID ${holder}`);
  }
  return claimPidfile(path);
}

function holderOf(path: string): number | null {
  const pid = readPid(path);
  if (pid === null || pid === process.pid) return null;
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    // After a reboot the number may be anybody's.
    return command.includes("dockerd") ? pid : null;
  } catch {
    return null;
  }
}

function readPid(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, "utf8").trim());
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}
