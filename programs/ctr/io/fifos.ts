// The named pipes between ctr and a process's shim, in a folder of their own: made before the task is created, gone
// when it was deleted; of a detached task they stay, because the shim goes on using them.

import { spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { Failure } from "../../../base/errors.ts";

export const FIFO_DIRECTORY = "/run/containerd/fifo";

export interface Fifos {
  readonly folder: string;
  readonly stdin: string;
  readonly stdout: string;
  /** Empty with a terminal, which has one stream for both. */
  readonly stderr: string;
}

/** Node cannot make a FIFO itself. */
export function makeFifos(directory: string, id: string, terminal: boolean): Fifos {
  const parent = directory === "" ? FIFO_DIRECTORY : directory;
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(`${parent}/`);
  const path = (stream: string) => join(folder, `${id}-${stream}`);
  const fifos = { folder, stdin: path("stdin"), stdout: path("stdout"), stderr: terminal ? "" : path("stderr") };
  const paths = [fifos.stdin, fifos.stdout, fifos.stderr].filter((one) => one !== "");
  const made = spawnSync("mkfifo", ["-m", "700", ...paths], { encoding: "utf8" });
  if (made.status === 0) return fifos;
  rmSync(folder, { recursive: true, force: true });
  throw new Failure("internal", `mkfifo: ${made.error?.message ?? made.stderr.trim()}`);
}

/** Of a task that is gone: its FIFOs, and their folder if nothing else is in it. Other files stay. */
export function removeFifos(paths: readonly string[]): void {
  const gone = paths.filter((path) => path.startsWith("/") && isFifo(path));
  for (const path of gone) rmSync(path, { force: true });
  for (const folder of new Set(gone.map(dirname))) {
    try {
      rmdirSync(folder);
    } catch {
      // Not empty, or gone: not ours to clear.
    }
  }
}

function isFifo(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFIFO() === true;
}
