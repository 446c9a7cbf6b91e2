// FIFOs for the output of containers under a foreign shim, and of every exec. Node has no mkfifo, and starting a
// program for each container would cost milliseconds: a few are made in advance, and one is moved to where it is
// wanted.

import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { Failure } from "../../../base/errors.ts";

/** FIFOs kept ready, and how few trigger making more. */
const POOL_SIZE = 48;
const POOL_LOW = 16;

export class FifoPool {
  readonly #directory: string;
  #ready: string[] = [];
  #sequence = 0;
  #refill: Promise<void> | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes the pool's folder, empty of what an earlier daemon left. */
  prepare(): void {
    rmSync(this.#directory, { recursive: true, force: true });
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    void this.#fill().catch(() => {});
  }

  /** Puts a FIFO at each path; whatever was there is replaced. */
  async place(paths: readonly string[]): Promise<void> {
    while (this.#ready.length < paths.length) await this.#fill();
    for (const path of paths) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      renameSync(this.#ready.pop()!, path);
    }
    if (this.#ready.length < POOL_LOW) void this.#fill().catch(() => {});
  }

  #fill(): Promise<void> {
    this.#refill ??= this.#make().finally(() => {
      this.#refill = null;
    });
    return this.#refill;
  }

  async #make(): Promise<void> {
    const paths: string[] = [];
    while (this.#ready.length + paths.length < POOL_SIZE) paths.push(join(this.#directory, `${++this.#sequence}`));
    if (paths.length === 0) return;
    await new Promise<void>((resolve, reject) => {
      const child = spawn("mkfifo", ["-m", "600", ...paths], { stdio: "ignore" });
      child.once("error", (cause) => reject(new Failure("internal", `mkfifo: ${cause.message}`, { cause })));
      child.once("exit", (code) =>
        code === 0 ? resolve() : reject(new Failure("internal", `mkfifo failed with status ${code}`)),
      );
    });
    this.#ready.push(...paths);
  }
}

/** Folders of containers that are gone. */
export function sweepFifoFolders(directory: string, keep: (name: string) => boolean): void {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch {
    return;
  }
  for (const name of names) {
    if (!keep(name)) rmSync(join(directory, name), { recursive: true, force: true });
  }
}
