// File access of the Node runtime: small synchronous calls for configuration, and streams over the files a command
// line names.

import fs from "node:fs";
import path from "node:path";
import type { Bytes } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import type { ByteStream, Files } from "../../base/runtime.ts";

export function nodeFiles(): Files {
  return {
    workingDirectory: process.cwd(),
    read: readFile,
    replace: replaceFile,
    stat(name) {
      const stat = orNull(name, "stat", () => fs.statSync(name));
      if (stat === null) return null;
      return { kind: kindOf(stat), size: stat.size, mode: stat.mode & 0o7777 };
    },
    list: (name) => attempt(name, "readdir", () => fs.readdirSync(name)),
    makeDirectories: (name, mode) => attempt(name, "mkdir", () => void fs.mkdirSync(name, { recursive: true, mode })),
    remove: (name) => attempt(name, "unlink", () => fs.rmSync(name)),
    open: (name, how) => {
      const flags = how.write
        ? fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_TRUNC
        : fs.constants.O_RDONLY;
      return new FileStream(attempt(name, "open", () => fs.openSync(name, flags, how.mode ?? 0o666)));
    },
  };
}

function readFile(name: string, limit: number): Bytes | null {
  const fd = orNull(name, "open", () => fs.openSync(name, "r"));
  if (fd === null) return null;
  try {
    const stat = fs.fstatSync(fd);
    if (stat.isDirectory())
      throw new Failure("failed_precondition", `read ${name}: is a directory`, errnoFacts(name, "EISDIR"));
    if (stat.size > limit) throw new Failure("resource_exhausted", `${name}: larger than ${limit} bytes`);
    const content = attempt(name, "read", () => fs.readFileSync(fd));
    if (content.length > limit) throw new Failure("resource_exhausted", `${name}: larger than ${limit} bytes`);
    return new Uint8Array(content);
  } finally {
    fs.closeSync(fd);
  }
}

function replaceFile(name: string, content: Uint8Array, mode: number): void {
  const temporary = path.join(path.dirname(name), `.${path.basename(name)}.${process.pid}.tmp`);
  attempt(name, "write", () => {
    const fd = fs.openSync(temporary, "wx", mode);
    try {
      fs.writeFileSync(fd, content);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, name);
  });
}

function kindOf(stat: fs.Stats): "file" | "directory" | "socket" | "fifo" | "other" {
  if (stat.isFile()) return "file";
  if (stat.isDirectory()) return "directory";
  if (stat.isSocket()) return "socket";
  return stat.isFIFO() ? "fifo" : "other";
}

function orNull<Result>(name: string, call: string, action: () => Result): Result | null {
  try {
    return action();
  } catch (thrown) {
    const errno = (thrown as NodeJS.ErrnoException).code;
    if (errno === "ENOENT" || errno === "ENOTDIR") return null;
    throw fileFailure(name, call, thrown);
  }
}

function attempt<Result>(name: string, call: string, action: () => Result): Result {
  try {
    return action();
  } catch (thrown) {
    throw fileFailure(name, call, thrown);
  }
}

function errnoFacts(name: string, errno: string) {
  return { facts: { path: name, errno } };
}

function fileFailure(name: string, call: string, thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const errno = (thrown as NodeJS.ErrnoException).code ?? "EIO";
  const code =
    errno === "ENOENT" ? "not_found" : errno === "EACCES" || errno === "EPERM" ? "permission_denied" : "unknown";
  return new Failure(code, `${call} ${name}: ${errno}`, { cause: thrown, ...errnoFacts(name, errno) });
}

/** Asynchronous, because the name may be a FIFO or a terminal. */
class FileStream implements ByteStream {
  readonly #fd: number;
  #closed = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  read(into: Uint8Array): Promise<number> {
    if (this.#closed) return Promise.resolve(0);
    return new Promise((resolve, reject) => {
      fs.read(this.#fd, into, 0, into.length, null, (error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      at += await new Promise<number>((resolve, reject) => {
        if (this.#closed) return reject(new Failure("unavailable", "write: the file is closed"));
        fs.write(this.#fd, bytes, at, bytes.length - at, null, (error, n) => (error ? reject(error) : resolve(n)));
      });
    }
  }

  closeWrite(): void {}

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    fs.closeSync(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
