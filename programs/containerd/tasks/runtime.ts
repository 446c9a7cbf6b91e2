// From a runtime's name to the shim that serves it, and what is known of that shim.
//
//     io.containerd.runc.v2 ──▶ containerd-shim-runc-v2 ──▶ first on PATH, else beside the containerd program
//     /opt/shims/mine       ──▶ that file
//
// Whether a shim takes the protobuf bootstrap is asked once for each binary (inode and time of change), not for each
// container: the answer decides how `start` is called.

import { execFile } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { RuntimeInfo } from "../../../api/containerd/gen/types.ts";
import { ADOPT_ANNOTATION } from "../../../api/task/extensions.ts";
import { Failure } from "../../../base/errors.ts";
import { shimInfo } from "./shim-info.ts";

export const DEFAULT_RUNTIME = "io.containerd.runc.v2";
const VERSION_TIMEOUT = 5000; // milliseconds
/** Go shims take protobuf on stdin and answer with it from this version on. */
const BOOTSTRAP_SINCE = [2, 3] as const;

export interface ShimBinary {
  path: string;
  /** Understands BootstrapParams on the stdin of `start`. */
  bootstrap: boolean;
}

export class Runtimes {
  private readonly directories: readonly string[];
  private readonly adopting = new Map<string, { identity: string; adopts: Promise<boolean> }>();
  private readonly known = new Map<string, { identity: string; binary: ShimBinary }>();

  /** Directories to look in after PATH. */
  constructor(directories: readonly string[]) {
    this.directories = directories;
  }

  async resolve(name: string, runtimePath: string): Promise<ShimBinary> {
    const path = runtimePath === "" ? this.find(name) : this.checked(runtimePath, runtimePath);
    const identity = identityOf(path);
    const known = this.known.get(path);
    if (known?.identity === identity) return known.binary;
    const binary = { path, bootstrap: await takesBootstrap(path) };
    this.known.set(path, { identity, binary });
    return binary;
  }

  /** Whether the shim at that path can take over from one that was killed. Asked once for each binary. */
  async adopts(path: string): Promise<boolean> {
    let identity: string;
    try {
      identity = identityOf(path);
    } catch {
      return false;
    }
    const known = this.adopting.get(path);
    if (known?.identity === identity) return known.adopts;
    const adopts = shimInfo(path, null).then(
      (info) => RuntimeInfo.decode(info).annotations[ADOPT_ANNOTATION] === "1",
      () => false,
    );
    this.adopting.set(path, { identity, adopts });
    return adopts;
  }

  private find(name: string): string {
    if (isAbsolute(name)) return this.checked(name, name);
    const parts = name.split(".");
    if (name.includes("/") || parts.length < 2 || parts.some((part) => part === "")) {
      throw new Failure(
        "invalid_argument",
        `invalid runtime name ${name}, correct runtime name should be either format like ` +
          "`io.containerd.runc.v2` or a full path to the binary",
      );
    }
    const file = `containerd-shim-${parts.at(-2)}-${parts.at(-1)}`;
    const path = (process.env["PATH"] ?? "").split(":").filter((directory) => directory !== "");
    for (const directory of [...path, ...this.directories]) {
      const candidate = join(directory, file);
      if (isExecutable(candidate)) return candidate;
    }
    throw new Failure("not_found", `runtime "${name}" binary not installed "${file}": file does not exist`);
  }

  private checked(path: string, name: string): string {
    if (isAbsolute(path) && isExecutable(path)) return path;
    throw new Failure("not_found", `runtime "${name}" binary not installed "${path}": file does not exist`);
  }
}

/** Another one after an upgrade. */
function identityOf(path: string): string {
  const { dev, ino, mtimeMs } = statSync(path);
  return `${dev}:${ino}:${mtimeMs}`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** From `<shim> -v`: our own, or a Go shim that is new enough. One that does not say is taken for an old one, whose
 *  form every shim understands. */
function takesBootstrap(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(path, ["-v"], { timeout: VERSION_TIMEOUT, maxBuffer: 64 << 10 }, (_error, stdout) => {
      if (/Revision:\s*gantry/.test(stdout)) {
        resolve(true);
        return;
      }
      const version = /Version:\s*v?(\d+)\.(\d+)/.exec(stdout);
      if (version === null) {
        resolve(false);
        return;
      }
      const [major, minor] = [Number(version[1]), Number(version[2])];
      resolve(major > BOOTSTRAP_SINCE[0] || (major === BOOTSTRAP_SINCE[0] && minor >= BOOTSTRAP_SINCE[1]));
    });
  });
}
