// The logical process tree of one container: who talks to whom by which protocol, with pids as the kernel has them now.

import { readdirSync, readFileSync } from "node:fs";

interface Process {
  pid: number;
  parent: number;
  name: string;
}

function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const end = stat.lastIndexOf(")");
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0")[0]!;
        const parent = Number(stat.slice(end + 2).split(" ")[1]);
        return [{ pid: Number(name), parent, name: command.split("/").at(-1)! }];
      } catch {
        return [];
      }
    });
}

/** `daemon` is dockerd's pid, `container` that of the container's first process. */
export function processTree(daemon: number, container: number): string {
  const all = processes();
  const find = (pid: number) => all.find((entry) => entry.pid === pid);
  const shim = find(find(container)?.parent ?? 0);
  const named = (name: string) => all.find((entry) => entry.name.startsWith(name) && isNear(entry, daemon, all));
  const containerd = named("containerd");
  const net = named("docker-net");
  const show = (name: string, entry: Process | undefined) => `${name} (${entry === undefined ? "?" : entry.pid})`;
  return [
    "docker (this command, ended)",
    `└─ HTTP over a unix socket ─▶ ${show("dockerd", find(daemon))}            [Node]`,
    `   ├─ ttrpc ─▶ ${show("docker-net", net)}: bridge, addresses, ports     [QuickJS]`,
    `   └─ gRPC ─▶ ${show("containerd", containerd)}: images, snapshots, tasks   [Node]`,
    `      └─ ttrpc ─▶ ${show("containerd-shim-runc-v2", shim)}: one per container [QuickJS]`,
    "         └─ clone of itself ─▶ runc: create, start (ended)       [QuickJS]",
    `            └─ runc init, became ─▶ ${show(find(container)?.name ?? "the process", find(container))}`,
    "",
  ].join("\n");
}

/** Children of dockerd, or orphans that outlive it, started by the same engine. */
function isNear(entry: Process, daemon: number, all: readonly Process[]): boolean {
  if (entry.parent === daemon) return true;
  const siblings = all.filter((other) => other.name === entry.name);
  return siblings.length === 1;
}
