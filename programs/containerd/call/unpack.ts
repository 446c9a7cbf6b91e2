// Calls to containerd-unpack (api/unpack/PROTOCOL.md): what Node cannot do to a file system by itself.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type ApplyAnswer, UNPACK_PROGRAM, type UnpackFailure } from "../../../api/unpack/unpack.ts";
import { type ErrorCode, Failure, messageOf } from "../../../base/errors.ts";
import type { Mount } from "../../../core/values.ts";

const STDERR_LIMIT = 64 << 10; // bytes kept of what the program says

export class Unpacker {
  private readonly program: string;
  private readonly mountpoints: readonly [string, string];

  /** `mountpoints`: a directory with two empty directories `lower` and `upper`. */
  constructor(program: string, mountpoints: string) {
    this.program = program;
    this.mountpoints = [join(mountpoints, "lower"), join(mountpoints, "upper")];
  }

  /** Consumes the archive. When that fails first, its failure is the one reported. */
  async apply(mounts: readonly Mount[], archive: Readable): Promise<ApplyAnswer> {
    const request = JSON.stringify({ mounts, mountpoint: this.mountpoints[1] });
    const child = spawn(this.program, ["apply", request], { stdio: ["pipe", "pipe", "pipe"], argv0: UNPACK_PROGRAM });
    const answer = collect(child.stdout);
    const ended = this.ended(child);
    let broken: unknown = null;
    const fed = pipeline(archive, child.stdin).catch((thrown: NodeJS.ErrnoException) => {
      // The program ended early: its own sentence says why.
      if (thrown.code === "EPIPE" || thrown.code === "ECONNRESET" || thrown.code === "ERR_STREAM_PREMATURE_CLOSE")
        return;
      broken = thrown;
      // Without this the program would take the end of its input for the end of the archive.
      child.kill("SIGKILL");
    });
    const [failure] = await Promise.all([
      ended.then(
        () => null,
        (thrown: unknown) => thrown,
      ),
      fed,
    ]);
    if (broken !== null) throw broken;
    if (failure !== null) throw failure;
    return JSON.parse(await answer) as ApplyAnswer;
  }

  /** The archive as it comes; its end is only good when `done` resolves. */
  compare(lower: readonly Mount[], upper: readonly Mount[]): { archive: Readable; done: Promise<void> } {
    const request = JSON.stringify({ lower, upper, mountpoints: this.mountpoints });
    const child = spawn(this.program, ["diff", request], { stdio: ["ignore", "pipe", "pipe"], argv0: UNPACK_PROGRAM });
    return { archive: child.stdout, done: this.ended(child) };
  }

  sync(path: string): Promise<void> {
    return this.run(["sync", path]);
  }

  fifos(paths: readonly string[]): Promise<void> {
    return this.run(["fifos", ...paths]);
  }

  unmount(path: string): Promise<void> {
    return this.run(["unmount", path]);
  }

  private run(args: string[]): Promise<void> {
    const options = { stdio: ["ignore", "ignore", "pipe"] as ["ignore", "ignore", "pipe"], argv0: UNPACK_PROGRAM };
    return this.ended(spawn(this.program, args, options));
  }

  private async ended(child: ChildProcess): Promise<void> {
    const said = collect(child.stderr!);
    const [code, signal] = await (once(child, "exit") as Promise<[number | null, string | null]>).catch((thrown) => {
      throw new Failure("unavailable", `${this.program} cannot be started: ${messageOf(thrown)}`, { cause: thrown });
    });
    if (code === 0) return;
    throw failureOf((await said).trimEnd(), signal === null ? `exit code ${code}` : `signal ${signal}`);
  }
}

async function collect(stream: Readable): Promise<string> {
  let text = "";
  try {
    for await (const piece of stream.setEncoding("utf8")) if (text.length < STDERR_LIMIT) text += piece as string;
  } catch {
    // The exit code tells.
  }
  return text;
}

function failureOf(said: string, ending: string): Failure {
  try {
    const failure = JSON.parse(said.slice(said.lastIndexOf("\n") + 1)) as UnpackFailure;
    return new Failure(failure.code as ErrorCode, failure.message);
  } catch {
    return new Failure("internal", `${UNPACK_PROGRAM} ended with ${ending}: ${said}`);
  }
}
