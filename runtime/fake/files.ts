// A kernel with files in memory: enough of open, read, write, stat, list, mkdir and rmdir for code that speaks to a
// filesystem of the kernel's own (resctrl, procfs attributes) which the testing machine may not have. Other calls are
// FakeDoor's, to be scripted.

import type { SyscallArgument } from "../../linux/door.ts";
import { EBADF, EEXIST, EISDIR, ENOENT, ENOTDIR } from "../../linux/errno.ts";
import { O_CREAT, O_TRUNC, S_IFDIR, S_IFREG } from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";
import { FakeDoor } from "./door.ts";

const FIRST_DESCRIPTOR = 100;
const DT_DIR = 4;
const DT_REG = 8;

interface Opened {
  path: string;
  at: number;
  /** Of a directory: what it held when it was opened; taken by the first listing. */
  entries: string[] | null;
}

export class FakeFiles extends FakeDoor {
  /** Path to content; directories are separate. */
  readonly files = new Map<string, string>();
  readonly directories = new Set<string>(["/"]);
  /** Every write in its order. */
  readonly written: [path: string, text: string][] = [];
  /** An errno with which writing to a path, or opening it, is refused. */
  readonly refused = new Map<string, number>();
  /** f_type of statfs by path. */
  readonly types = new Map<string, number>();
  /** What the kernel puts into a new directory. */
  onMakeDirectory: (path: string) => void = () => {};
  readonly #opened = new Map<number, Opened>();
  #next = FIRST_DESCRIPTOR;

  /** A file with the directories above it. */
  put(path: string, text: string): this {
    this.makeDirectories(path.slice(0, path.lastIndexOf("/")));
    this.files.set(path, text);
    return this;
  }

  makeDirectories(path: string): void {
    for (let at = path; at !== "" && !this.directories.has(at); at = at.slice(0, at.lastIndexOf("/"))) {
      this.directories.add(at);
    }
  }

  /** Descriptors that were opened and not closed. */
  get leaked(): number {
    return this.#opened.size;
  }

  override syscall(number: number, ...args: SyscallArgument[]): number {
    const [first, second, third] = args;
    switch (number) {
      case nr.SYS_openat:
        return this.#open(this.#pathOf(first as number, second as string), third as number);
      case nr.SYS_close:
        return this.#opened.delete(first as number) ? 0 : -EBADF;
      case nr.SYS_read:
        return this.#read(first as number, second as Uint8Array);
      case nr.SYS_write:
        return this.#write(first as number, second as Uint8Array);
      case nr.SYS_mkdir:
        return this.#makeDirectory(first as string);
      case nr.SYS_rmdir:
        return this.#removeDirectory(first as string);
      case nr.SYS_newfstatat:
        return this.#stat(this.#pathOf(first as number, second as string), third as Uint8Array);
      case nr.SYS_statfs:
        return this.#statfs(first as string, second as BigInt64Array);
      case nr.SYS_getdents64:
        return this.#list(first as number, second as Uint8Array);
      default:
        return super.syscall(number, ...args);
    }
  }

  #pathOf(at: number, path: string): string {
    return path.startsWith("/") ? path : `${this.#opened.get(at)?.path ?? ""}/${path}`;
  }

  #open(path: string, flags: number): number {
    const refused = this.refused.get(path);
    if (refused !== undefined && !this.files.has(path)) return -refused;
    const directory = this.directories.has(path);
    if (!directory && !this.files.has(path)) {
      if ((flags & O_CREAT) === 0 || !this.directories.has(path.slice(0, path.lastIndexOf("/")))) return -ENOENT;
      this.files.set(path, "");
    }
    if ((flags & O_TRUNC) !== 0) this.files.set(path, "");
    const fd = this.#next++;
    this.#opened.set(fd, { path, at: 0, entries: directory ? this.#entriesOf(path) : null });
    return fd;
  }

  #entriesOf(path: string): string[] {
    const prefix = path === "/" ? "/" : `${path}/`;
    const all = [...this.directories, ...this.files.keys()].filter((one) => one.startsWith(prefix) && one !== path);
    return [...new Set(all.map((one) => one.slice(prefix.length).split("/")[0]!))].filter((name) => name !== "");
  }

  #read(fd: number, into: Uint8Array): number {
    const opened = this.#opened.get(fd);
    if (opened === undefined) return -EBADF;
    const content = this.files.get(opened.path);
    if (content === undefined) return -EISDIR;
    const part = this.encode(content).subarray(opened.at, opened.at + into.length);
    into.set(part);
    opened.at += part.length;
    return part.length;
  }

  #write(fd: number, bytes: Uint8Array): number {
    const opened = this.#opened.get(fd);
    if (opened === undefined) return -EBADF;
    const refused = this.refused.get(opened.path);
    if (refused !== undefined) return -refused;
    const text = this.decode(bytes);
    this.written.push([opened.path, text]);
    this.files.set(opened.path, (this.files.get(opened.path) ?? "") + text);
    return bytes.length;
  }

  #makeDirectory(path: string): number {
    if (this.directories.has(path)) return -EEXIST;
    if (!this.directories.has(path.slice(0, path.lastIndexOf("/")))) return -ENOENT;
    const refused = this.refused.get(path);
    if (refused !== undefined) return -refused;
    this.directories.add(path);
    this.onMakeDirectory(path);
    return 0;
  }

  /** With the files in it, which are the kernel's own in such a filesystem. */
  #removeDirectory(path: string): number {
    if (!this.directories.has(path)) return -ENOENT;
    const inside = (one: string) => one === path || one.startsWith(`${path}/`);
    for (const one of [...this.directories].filter(inside)) this.directories.delete(one);
    for (const one of [...this.files.keys()].filter(inside)) this.files.delete(one);
    return 0;
  }

  #stat(path: string, into: Uint8Array): number {
    const directory = this.directories.has(path);
    if (!directory && !this.files.has(path)) return -ENOENT;
    new DataView(into.buffer, into.byteOffset).setUint32(24, directory ? S_IFDIR | 0o755 : S_IFREG | 0o644, true);
    return 0;
  }

  #statfs(path: string, into: BigInt64Array): number {
    const type = this.types.get(path);
    if (type === undefined) return -ENOENT;
    into[0] = BigInt(type);
    return 0;
  }

  /** struct linux_dirent64: u64 ino, s64 off, u16 reclen, u8 type, name */
  #list(fd: number, into: Uint8Array): number {
    const opened = this.#opened.get(fd);
    if (opened === undefined) return -EBADF;
    if (opened.entries === null) return -ENOTDIR;
    let at = 0;
    const view = new DataView(into.buffer, into.byteOffset);
    for (const name of opened.entries) {
      const bytes = this.encode(name);
      const length = (19 + bytes.length + 1 + 7) & ~7;
      view.setUint16(at + 16, length, true);
      into[at + 18] = this.directories.has(`${opened.path}/${name}`) ? DT_DIR : DT_REG;
      into.fill(0, at + 19, at + length);
      into.set(bytes, at + 19);
      at += length;
    }
    opened.entries = [];
    return at;
  }
}
