// Which ids of the host stand behind those of a container's user namespace: written for a new one, by the runtime
// itself or through the programs that may do it for a user without rights (newuidmap, newgidmap); read of a joined one.

import { Failure, messageOf } from "../base/errors.ts";
import { door } from "../linux/door.ts";
import { EACCES, ENOENT, EPERM, errnoOf, errnoSentence } from "../linux/errno.ts";
import * as fs from "../linux/fd.ts";
import { NAMESPACES, setNamespace } from "../linux/namespace.ts";
import { outputOf } from "../linux/output.ts";
import { effectiveGroup, exit, forkTo, pause, waitChild } from "../linux/process.ts";
import { kill, SIGKILL } from "../linux/signal.ts";
import type { MappingSpec } from "./spec/schema.ts";

/** Bytes of a mapping program's output that an error repeats. */
const OUTPUT_LIMIT = 4 << 10;

export interface Mappings {
  uidMappings: readonly MappingSpec[];
  gidMappings: readonly MappingSpec[];
}

/** The host's id behind one of the container; null when none is. */
export function hostIdOf(mappings: readonly MappingSpec[], id: number): number | null {
  for (const { containerID, hostID, size } of mappings) {
    if (id >= containerID && id < containerID + size) return hostID + (id - containerID);
  }
  return null;
}

/** Writes the mappings of a child's new user namespace. `helpers` is the PATH to look for the mapping programs in when
 *  the kernel refuses; null for root, to whom nobody could lend more rights. */
export function mapIds(pid: number, mappings: Mappings, helpers: string | null): void {
  // A user may map its own group alone, and only with setgroups given up for good (Linux 3.19).
  if (helpers !== null && isOwnGroupAlone(mappings.gidMappings)) fs.writeFile(`/proc/${pid}/setgroups`, "deny");
  writeMap({ pid, which: "uid", helpers }, mappings.uidMappings);
  writeMap({ pid, which: "gid", helpers }, mappings.gidMappings);
}

function isOwnGroupAlone([map, ...others]: readonly MappingSpec[]): boolean {
  return others.length === 0 && map?.containerID === 0 && map.size === 1 && map.hostID === effectiveGroup();
}

interface Target {
  pid: number;
  which: "uid" | "gid";
  helpers: string | null;
}

function writeMap(target: Target, mappings: readonly MappingSpec[]): void {
  const path = `/proc/${target.pid}/${target.which}_map`;
  const numbers = mappings.map(({ containerID, hostID, size }) => [containerID, hostID, size]);
  try {
    fs.writeFile(path, numbers.map((line) => `${line.join(" ")}\n`).join(""));
  } catch (thrown) {
    const failed = `failed to use new${target.which} map on ${target.pid}`;
    if (errnoOf(thrown) !== EPERM) {
      throw new Failure("failed_precondition", `failed to update ${path}: ${messageOf(thrown)}`, { cause: thrown });
    }
    const program = findHelper(`new${target.which}map`, target.helpers ?? "");
    if (program === null) {
      throw new Failure("failed_precondition", `${failed}: mapping tool not present: ${errnoSentence(EPERM)}`);
    }
    const said = runHelper(program, [String(target.pid), ...numbers.flat().map(String)]);
    if (said !== null) throw new Failure("failed_precondition", `${failed}: ${said}`);
  }
}

/** The program runs with more rights than ours: only absolute places of PATH are searched. */
function findHelper(name: string, path: string): string | null {
  for (const directory of path.split(":")) {
    if (!directory.startsWith("/")) continue;
    const candidate = `${directory.replace(/\/+$/, "")}/${name}`;
    if (isProgram(candidate)) return candidate;
  }
  return null;
}

function isProgram(path: string): boolean {
  try {
    const found = fs.stat(path);
    return found !== null && (found.mode & fs.S_IFMT) === fs.S_IFREG && (found.mode & 0o111) !== 0;
  } catch (thrown) {
    if ([EACCES, ENOENT].includes(errnoOf(thrown))) return false;
    throw thrown;
  }
}

/** Null when it did its work; else its own words. It gets an empty environment and no descriptor of ours. */
function runHelper(program: string, args: readonly string[]): string | null {
  const { text, ended } = outputOf({ program, args: [program, ...args], env: [], limit: OUTPUT_LIMIT });
  const said = text.trim();
  if (ended !== null && ended.code === 0) return null;
  return said === "" ? `${program}: exit status ${ended?.code ?? "unknown"}` : said;
}

/** The mappings of a namespace that is to be joined, as this process's own user namespace sees them. */
export function mappingsOf(path: string): { uidMappings: MappingSpec[]; gidMappings: MappingSpec[] } {
  const owner = /^\/proc\/(self|\d+)\/ns\/user$/.exec(path)?.[1];
  try {
    return owner === undefined ? readByJoining(path) : readMappings(owner);
  } catch (thrown) {
    throw new Failure("failed_precondition", `failed to cache mappings for userns: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

function readMappings(owner: string | number) {
  const read = (which: string) =>
    fs
      .readText(`/proc/${owner}/${which}_map`)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.trim().split(/\s+/).map(Number))
      .map(([containerID, hostID, size]) => ({ containerID: containerID!, hostID: hostID!, size: size! }));
  return { uidMappings: read("uid"), gidMappings: read("gid") };
}

/** A namespace file says nothing by itself: a child joins it and is looked at. */
function readByJoining(path: string) {
  using namespace = fs.open(path, fs.O_RDONLY);
  const ready = fs.pipe();
  const pid = forkTo(() => {
    try {
      setNamespace(namespace.number, NAMESPACES.user.flag, path);
      fs.writeAll(ready.write.number, Uint8Array.of(0));
    } catch (thrown) {
      fs.writeAll(ready.write.number, door().encode(messageOf(thrown)));
      exit(1);
    }
    for (;;) pause(1 << 20);
  });
  try {
    ready.write.close();
    using reader = ready.read;
    const buffer = new Uint8Array(OUTPUT_LIMIT);
    const got = fs.read(reader.number, buffer) ?? 0;
    if (got !== 1 || buffer[0] !== 0) throw new Failure("failed_precondition", door().decode(buffer, 0, got));
    return readMappings(pid);
  } finally {
    kill(pid, SIGKILL);
    waitChild(pid);
  }
}

/** Whether two lists say the same, in whatever order. */
export function sameMapping(left: readonly MappingSpec[], right: readonly MappingSpec[]): boolean {
  const text = (maps: readonly MappingSpec[]) =>
    maps
      .map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}`)
      .sort()
      .join();
  return text(left) === text(right);
}
