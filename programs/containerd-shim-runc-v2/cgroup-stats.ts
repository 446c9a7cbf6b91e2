// What a task has used, read from its control groups, as containerd's metrics messages: the v1 message where any
// controller is in a hierarchy of its own, else the v2 one. A file that is not there leaves its figures at zero.
//
// Which groups they are is asked once, while the first process is alive, from /proc/<pid>/cgroup.

import { Metrics as MetricsV1 } from "../../api/task/gen/cgroups_v1.ts";
import { Metrics as MetricsV2 } from "../../api/task/gen/cgroups_v2.ts";
import type { Any } from "../../api/wellknown/gen/any.ts";
import { readTextIfThere, stat } from "../../linux/fd.ts";
import { metricsV1 } from "./cgroup-v1.ts";
import { metricsV2 } from "./cgroup-v2.ts";

const ROOT = "/sys/fs/cgroup";

export interface TaskCgroups {
  /** Directory by controller; "" is the unified hierarchy. */
  readonly directories: ReadonlyMap<string, string>;
  readonly unified: boolean;
}

/** Null when there is no such process any more. */
export function findCgroups(pid: number): TaskCgroups | null {
  const text = readTextIfThere(`/proc/${pid}/cgroup`);
  if (text === null) return null;
  const unified = stat(`${ROOT}/cgroup.controllers`) !== null;
  const directories = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    const [names, path] = [match[1]!.split(","), match[2] === "/" ? "" : match[2]!];
    for (const name of names) directories.set(name, `${ROOT}${name === "" || unified ? "" : `/${name}`}${path}`);
  }
  return { directories, unified };
}

export function readStats({ directories, unified }: TaskCgroups): Any {
  if (unified) {
    const files = new GroupFiles(directories.get("") ?? ROOT);
    return { typeUrl: MetricsV2.typeName, value: MetricsV2.encode(metricsV2(files)) };
  }
  const files = (controller: string) => {
    const directory = directories.get(controller);
    return directory === undefined ? null : new GroupFiles(directory);
  };
  return { typeUrl: MetricsV1.typeName, value: MetricsV1.encode(metricsV1(files)) };
}

/** The files of one group, in the three forms the kernel writes them. */
export class GroupFiles {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  text(name: string): string {
    return readTextIfThere(`${this.directory}/${name}`) ?? "";
  }

  /** One number; `max` is what the word "max" stands for. */
  number(name: string, max = 0n): bigint {
    return numberOf(this.text(name).trim(), max);
  }

  /** Lines of "name number", the names as fields of messages have them: rss_huge is rssHuge. */
  table(name: string): Record<string, bigint> {
    const values: Record<string, bigint> = {};
    for (const line of this.text(name).split("\n")) {
      const [key, value] = line.split(" ");
      if (key !== undefined && value !== undefined) values[camelCase(key)] = numberOf(value, 0n);
    }
    return values;
  }
}

export function numberOf(text: string, max: bigint): bigint {
  if (text === "max") return max;
  return /^\d+$/.test(text) ? BigInt(text) : 0n;
}

function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_whole, letter: string) => letter.toUpperCase());
}
