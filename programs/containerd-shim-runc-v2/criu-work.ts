// criu's working directory for one checkpoint or restore: the one the client named, which stays, or one in the bundle,
// which goes away when the work is done. Its log outlives a failure as criu-dump.log in the bundle, as the original's.

import { Failure, messageOf } from "../../base/errors.ts";
import * as fs from "../../linux/fd.ts";

const LOG_LIMIT = 16 << 20;

export class CriuWork implements Disposable {
  readonly path: string;
  readonly #bundle: string;
  readonly #own: boolean;

  constructor(named: string, bundle: string) {
    this.#bundle = bundle;
    this.#own = named === "";
    this.path = named === "" ? `${bundle}/criu-work` : named;
  }

  /** A failed checkpoint in the words that clients of the original know: the reason, and where the log is. */
  failure(thrown: unknown): Failure {
    const kept = `${this.#bundle}/criu-dump.log`;
    const reason = messageOf(thrown).replace(/^: /, "").split("\nlog file: ")[0]!;
    try {
      fs.writeFile(kept, fs.readFile(`${this.path}/dump.log`, LOG_LIMIT), 0o600);
    } catch {
      return new Failure("unknown", reason, { cause: thrown });
    }
    return new Failure("unknown", `${reason} path= ${kept}`, { cause: thrown });
  }

  [Symbol.dispose](): void {
    if (this.#own) removeFiles(this.path);
  }
}

/** criu makes no directories in it. One that is not there is no error: the runtime may have failed before. */
function removeFiles(path: string): void {
  if (fs.stat(path) === null) return;
  for (const { name } of fs.listDirectory(path)) fs.unlinkIfThere(`${path}/${name}`);
  fs.removeDirectory(path);
}
