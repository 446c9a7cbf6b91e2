// A sandbox (pod) for daemons whose sandboxer is the shim: the namespaces that its containers share, held by one
// process that does nothing else, in the place of a pause container and without an image.
//
//     created ──start: a child in new and joined namespaces──▶ ready ──stop, or the child's end──▶ over
//
// Which namespaces comes from the specification in the sandbox's bundle; without one it is what a pod has: ipc, uts and
// pid of its own, and the network that the daemon made. Containers join through /proc/<pid>/ns, as with a pause
// container.

import { Failure, messageOf } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import { closeFrom } from "../../linux/credential.ts";
import { door } from "../../linux/door.ts";
import { must } from "../../linux/errno.ts";
import * as fd from "../../linux/fd.ts";
import { NAMESPACES, type NamespaceKind, setNamespace } from "../../linux/namespace.ts";
import { raiseLoopback } from "../../linux/network.ts";
import { SYS_sethostname } from "../../linux/numbers.ts";
import { clone, exit, newSession, pause, setName, setParentDeathSignal } from "../../linux/process.ts";
import { kill, resetSignals, SIGCHLD, SIGKILL, setDisposition } from "../../linux/signal.ts";
import { CONFIG_LIMIT, SANDBOX_REPORT_LIMIT } from "./limits.ts";
import type { Ended, Reaper } from "./reaper.ts";

export interface Plan {
  /** Kind to the path of one to join; "" for a new one. */
  namespaces: Map<NamespaceKind, string>;
  hostname: string;
}

const KINDS: readonly NamespaceKind[] = ["ipc", "uts", "pid", "network"];
const DAY = 86_400_000;

export class Sandbox {
  readonly id: string;
  readonly #plan: Plan;
  readonly #reaper: Reaper;
  readonly #waiting = new Set<(ended: Ended) => void>();
  pid = 0;
  createdAt = 0n;
  ended: Ended | null = null;
  #asked = false;

  constructor(id: string, plan: Plan, reaper: Reaper) {
    this.id = id;
    this.#plan = plan;
    this.#reaper = reaper;
  }

  start(now: bigint): void {
    if (this.createdAt !== 0n) throw new Failure("failed_precondition", `sandbox ${this.id} has been started`);
    this.pid = hold(this.id, this.#plan);
    this.createdAt = now;
    this.#reaper.expect(this.pid, (ended) => this.#over(ended));
  }

  /** Ends the holder; the end of one that was asked for is no failure. */
  stop(now: bigint): void {
    this.#asked = true;
    if (this.ended !== null) return;
    if (this.pid === 0) this.#over({ code: 0, at: now });
    else kill(this.pid, SIGKILL);
  }

  wait(): Promise<Ended> {
    if (this.ended !== null) return Promise.resolve(this.ended);
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #over({ code, at }: Ended): void {
    this.ended = { code: this.#asked ? 0 : code, at };
    for (const resolve of this.#waiting) resolve(this.ended);
    this.#waiting.clear();
  }
}

/** From the bundle's config.json, when there is one. `network` is the path of the pod's; "" for the spec's, or the
 *  host's. */
export function planOf(bundle: string, network: string): Plan {
  const text = fd.readTextIfThere(`${bundle}/config.json`, CONFIG_LIMIT);
  const namespaces = new Map<NamespaceKind, string>();
  let hostname = "";
  if (text === null || text.trim() === "null")
    for (const kind of ["ipc", "uts", "pid"] as const) namespaces.set(kind, "");
  else {
    const spec = parseJson(text) as { hostname?: string; linux?: { namespaces?: { type: string; path?: string }[] } };
    hostname = spec.hostname ?? "";
    for (const { type, path } of spec.linux?.namespaces ?? []) {
      const kind = KINDS.find((one) => one === type);
      if (kind !== undefined) namespaces.set(kind, path ?? "");
      // A mount namespace is each container's own. A user namespace would have to own the others.
      else if (type === "user") throw new Failure("unimplemented", "a sandbox's own user namespace is not made yet");
    }
  }
  if (network !== "") namespaces.set("network", network);
  return { namespaces, hostname };
}

/** The pid of the process that holds them, once it does. */
function hold(id: string, plan: Plan): number {
  let flags = 0;
  for (const [kind, path] of plan.namespaces) if (path === "") flags |= NAMESPACES[kind].flag;
  const report = fd.pipe();
  using answer = report.read;
  // 64 bits: the highest flag in use is the sign of a 32-bit number.
  const { pid } = clone({ flags: BigInt(flags >>> 0), cgroup: null, pidfd: false });
  if (pid === 0) beHolder(id, plan, report.write);
  report.write.close();
  const said = fd.readAll(answer.number, SANDBOX_REPORT_LIMIT);
  if (said.length === 1 && said[0] === READY) return pid;
  kill(pid, SIGKILL);
  throw new Failure("unknown", `failed to make the sandbox's namespaces: ${door().decode(said)}`);
}

/** One byte that begins no sentence. */
const READY = 0;

/** In the child, which is a copy of the shim: it keeps nothing of it open and never returns. */
function beHolder(id: string, { namespaces, hostname }: Plan, report: fd.Fd): never {
  try {
    setParentDeathSignal(SIGKILL);
    for (const [kind, path] of namespaces) if (path !== "") joinNamespace(kind, path);
    if (namespaces.get("network") === "") raiseLoopback();
    if (hostname !== "") {
      if (!namespaces.has("uts")) throw new Error("a host name without a uts namespace");
      must("sethostname", hostname, door().syscall(SYS_sethostname, hostname, door().encode(hostname).length));
    }
    resetSignals();
    // As the first process of a pid namespace it gets orphans: ignored, the kernel reaps them itself.
    setDisposition(SIGCHLD, "ignore");
    newSession();
    setName("sandbox");
    door().title(`sandbox ${id}`);
    fd.write(report.number, Uint8Array.of(READY));
    closeFrom(0);
    for (;;) pause(DAY);
  } catch (thrown) {
    fd.write(report.number, door().encode(messageOf(thrown)));
  }
  exit(1);
}

function joinNamespace(kind: NamespaceKind, path: string): void {
  // Joining a pid namespace counts for children only: the holder would stay outside.
  if (kind === "pid") throw new Error("a sandbox cannot join a pid namespace");
  using namespace = fd.open(path, fd.O_RDONLY);
  setNamespace(namespace.number, NAMESPACES[kind].flag, path);
}
