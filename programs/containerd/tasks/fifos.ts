// Ready-made FIFOs for the shims' logs: Node cannot make one, and a process for each container would cost more than the
// rest of its creation. A batch is made at a time; taking one is a rename.

import { mkdirSync, readdirSync, renameSync, unlinkSync } from "node:fs";
import { join } from "node:path";

const BATCH = 32; // FIFOs made at once
const LOW = 8; // left in stock when more are made

export class FifoStock {
  private readonly directory: string;
  private readonly make: (paths: readonly string[]) => Promise<void>;
  private stock: string[] = [];
  private next = 0;
  private refilling: Promise<void> | null = null;

  /** The directory is on the file system of whatever a FIFO is taken to. */
  constructor(directory: string, make: (paths: readonly string[]) => Promise<void>) {
    this.directory = directory;
    this.make = make;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(directory)) unlinkSync(join(directory, name));
  }

  /** Puts one at `path`. */
  async take(path: string): Promise<void> {
    while (this.stock.length === 0) await this.refill();
    renameSync(this.stock.pop()!, path);
    if (this.stock.length < LOW) this.refill().catch(() => {});
  }

  refill(): Promise<void> {
    this.refilling ??= this.fill().finally(() => {
      this.refilling = null;
    });
    return this.refilling;
  }

  private async fill(): Promise<void> {
    const paths = Array.from({ length: BATCH }, () => join(this.directory, String(this.next++)));
    await this.make(paths);
    this.stock.push(...paths);
  }
}
