// The one seam to the OCI runtime: its command line, as containerd's own shim calls it, and the reason of a failure
// from the last line of level "error" in its log. Our own runtime is not executed for what a clone can do (carried.ts).
//
//     runc --root R --log <bundle>/log.json --log-format json [--systemd-cgroup] create --bundle B --pid-file P ID

import { decodeUtf8, encodeUtf8 } from "../../../base/bytes.ts";
import { Failure, messageOf } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import { EPOLLIN } from "../../../linux/epoll.ts";
import { ENOENT, SyscallFailure } from "../../../linux/errno.ts";
import * as fd from "../../../linux/fd.ts";
import { SYS_access } from "../../../linux/numbers.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { CONFIG_LIMIT, RUNC_OUTPUT_LIMIT } from "../limits.ts";
import type { Reaper } from "../reaper.ts";
import { carries, startCarried } from "./carried.ts";
import { startProgram } from "./program.ts";

const READ_CHUNK = 16 << 10;

export interface RuncSettings {
  /** The runtime's name or path. */
  command: string;
  root: string;
  bundle: string;
  systemdCgroup: boolean;
}

/** Borrowed descriptors for the runtime's standard streams, which the container's process inherits; null: /dev/null. */
export interface RuncStreams {
  stdin: number | null;
  stdout: number | null;
  stderr: number | null;
}

/** A runtime call that ended badly. The message is the runtime's own reason where it gave one. */
export class RuncFailure extends Failure {
  constructor(what: string, reason: string) {
    super("unknown", `${what}: ${reason}`);
  }
}

export class Runc {
  readonly #loop: Loop;
  readonly #reaper: Reaper;
  readonly #settings: RuncSettings;
  #path: string | null = null;

  constructor(loop: Loop, reaper: Reaper, settings: RuncSettings) {
    this.#loop = loop;
    this.#reaper = reaper;
    this.#settings = settings;
  }

  get bundle(): string {
    return this.#settings.bundle;
  }

  /** Runs one command whose streams belong to the container. */
  async start(what: string, args: readonly string[], streams: RuncStreams): Promise<void> {
    const pid = this.#spawn(what, args, [streams.stdin, streams.stdout, streams.stderr]);
    const ended = await this.#reaper.exitOf(pid);
    if (ended.code !== 0) throw this.#failure(what, ended.code, "");
  }

  /** Runs one command and gives its standard output. */
  async run(what: string, args: readonly string[], input: string | null = null): Promise<string> {
    const output = fd.pipe(fd.O_NONBLOCK);
    const source = input === null ? null : inputPipe(input);
    try {
      const pid = this.#spawn(what, args, [source?.number ?? null, output.write.number, output.write.number]);
      output.write.close();
      const exited = this.#reaper.exitOf(pid);
      const text = await collect(this.#loop, output.read);
      const ended = await exited;
      if (ended.code !== 0) throw this.#failure(what, ended.code, text);
      return text;
    } finally {
      output.read.close();
      output.write.close();
      source?.close();
    }
  }

  #spawn(what: string, args: readonly string[], descriptors: readonly (number | null)[]): number {
    const { root, bundle, systemdCgroup, command } = this.#settings;
    const log = `${bundle}/log.json`;
    fd.unlinkIfThere(log);
    const global = [
      "--root",
      root,
      "--log",
      log,
      "--log-format",
      "json",
      ...(systemdCgroup ? ["--systemd-cgroup"] : []),
    ];
    try {
      this.#path ??= findProgram(command);
      if (carries(this.#path, args[0]!)) return startCarried({ args, root, systemdCgroup, log, descriptors });
      return startProgram({ path: this.#path, args: [...global, ...args], env: door().env, descriptors, tied: true });
    } catch (thrown) {
      const reason = `${thrown instanceof SyscallFailure ? "fork/" : ""}${messageOf(thrown)}`;
      throw new RuncFailure(what, `${unreadable(log)}: ${reason}`);
    }
  }

  #failure(what: string, code: number, output: string): RuncFailure {
    const status = code > 128 ? `signal: ${code - 128}` : `exit status ${code}`;
    const bare = `${this.#settings.command} did not terminate successfully: ${status}: ${output.trim()}`;
    const log = `${this.#settings.bundle}/log.json`;
    const text = fd.readTextIfThere(log, CONFIG_LIMIT);
    if (text === null) return new RuncFailure(what, `${unreadable(log)}: ${bare}`);
    return new RuncFailure(what, lastError(text) ?? bare);
  }
}

/** The original's words where the runtime left no log at all. */
function unreadable(log: string): string {
  return `unable to retrieve OCI runtime error (open ${log}: no such file or directory)`;
}

/** The message of the last line of level "error" in a runtime's JSON log; null when there is none. */
export function lastError(log: string): string | null {
  let last: string | null = null;
  for (const line of log.split("\n")) {
    if (line === "") continue;
    try {
      const entry = JSON.parse(line) as { level?: unknown; msg?: unknown };
      if (entry.level === "error" && typeof entry.msg === "string") last = entry.msg.trim();
    } catch {
      // A line that is no JSON says nothing.
    }
  }
  return last;
}

/** A path as it is; a name from PATH, then from beside this executable. Throws Failure "not_found". */
export function findProgram(command: string): string {
  if (command.includes("/")) return command;
  const path =
    door()
      .env.find((entry) => entry.startsWith("PATH="))
      ?.slice(5) ?? "/usr/sbin:/usr/bin:/sbin:/bin";
  const own = fd.readLink("/proc/self/exe").replace(/\/[^/]*$/, "");
  for (const directory of [...path.split(":"), own]) {
    const candidate = `${directory === "" ? "." : directory}/${command}`;
    const found = fd.stat(candidate);
    const executable = found !== null && (found.mode & fd.S_IFMT) === fd.S_IFREG;
    if (executable && door().syscall(SYS_access, candidate, 1 /* X_OK */) === 0) return candidate;
  }
  throw new Failure("not_found", `exec: "${command}": executable file not found in $PATH`, {
    facts: { errno: ENOENT },
  });
}

/** A pipe that already holds the whole text: resources are some kilobytes, a pipe takes 64. */
function inputPipe(text: string): fd.Fd {
  const bytes = encodeUtf8(text);
  if (bytes.length > 60 << 10) throw new Failure("invalid_argument", "the resources are longer than 60 KiB");
  const ends = fd.pipe();
  fd.writeAll(ends.write.number, bytes);
  ends.write.close();
  return ends.read;
}

/** Everything until the writers are gone; what is beyond the limit is read and dropped. Closes nothing. */
function collect(loop: Loop, source: fd.Fd): Promise<string> {
  return new Promise((resolve) => {
    const parts: Uint8Array[] = [];
    let total = 0;
    const finish = () => {
      loop.unwatch(source.number);
      const whole = new Uint8Array(total);
      let at = 0;
      for (const part of parts) {
        whole.set(part, at);
        at += part.length;
      }
      resolve(decodeUtf8(whole));
    };
    loop.watch(source.number, EPOLLIN, () => {
      const part = new Uint8Array(READ_CHUNK);
      const got = fd.read(source.number, part);
      if (got === 0) return finish();
      if (got === null || total + got > RUNC_OUTPUT_LIMIT) return;
      parts.push(part.subarray(0, got));
      total += got;
    });
  });
}
