// Programs this command runs beside itself: ssh as a connection, credential helpers.

import { Failure } from "../../../base/errors.ts";
import type { ByteStream, Child, Runtime } from "../../../base/runtime.ts";

/** The first executable of that name in PATH. */
export function findProgram(runtime: Runtime, name: string): string {
  for (const directory of (runtime.env["PATH"] ?? "/usr/bin:/bin").split(":")) {
    const path = `${directory || "."}/${name}`;
    const stat = runtime.files.stat(path);
    if (stat !== null && stat.kind === "file" && (stat.mode & 0o111) !== 0) return path;
  }
  throw new Failure("not_found", `exec: ${JSON.stringify(name)}: executable file not found in $PATH`);
}

/** A child's stdin and stdout as one connection. */
export class PairedStream implements ByteStream {
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
    child.wait().catch(() => {});
  }

  async read(into: Uint8Array): Promise<number> {
    return this.#child.stdout!.read(into);
  }

  async write(bytes: Uint8Array): Promise<void> {
    return this.#child.stdin!.write(bytes);
  }

  closeWrite(): void {
    this.#child.stdin!.close();
  }

  close(): void {
    this.#child.stdin!.close();
    this.#child.stdout!.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
