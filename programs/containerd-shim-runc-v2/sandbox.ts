// A sandbox (pod) for daemons whose sandboxer is the shim: the namespaces that its containers share, held by one
// process that does nothing else (sandbox-holder.ts).
//
//     created ──start: a child in new and joined namespaces──▶ ready ──stop, or the child's end──▶ over
//
// Which namespaces comes from the specification in the sandbox's bundle; without one it is what a pod has: ipc, uts and
// pid of its own, and the network that the daemon made. Containers join through /proc/<pid>/ns, as with a pause
// container. Each state is written down before it is told (sandbox-record.ts): another shim goes on from there.

import { Failure, messageOf } from "../../base/errors.ts";
import { parseJson } from "../../base/json.ts";
import * as fd from "../../linux/fd.ts";
import type { NamespaceKind } from "../../linux/namespace.ts";
import { openPidfdIfThere, startTime } from "../../linux/pidfd.ts";
import { processId } from "../../linux/process.ts";
import { kill, SIGKILL } from "../../linux/signal.ts";
import type { CancelSource } from "../../wire/call.ts";
import { CONFIG_LIMIT, EXIT_UNKNOWN } from "./limits.ts";
import { killProcess, watchProcess } from "./pidwatch.ts";
import type { Ended } from "./reaper.ts";
import { hold, letGo, type Plan } from "./sandbox-holder.ts";
import { keepSandbox, removeSandboxRecord, type SandboxRecord, writeSandbox } from "./sandbox-record.ts";
import type { Shim } from "./shim.ts";

const KINDS: readonly NamespaceKind[] = ["ipc", "uts", "pid", "network"];

export class Sandbox {
  readonly id: string;
  readonly #bundle: string;
  readonly #plan: Plan;
  readonly #shim: Shim;
  readonly #waiting = new Set<(ended: Ended) => void>();
  pid = 0;
  createdAt = 0n;
  ended: Ended | null = null;
  #startTime = "";
  #asked = false;

  private constructor(shim: Shim, bundle: string, { id, plan }: { id: string; plan: Plan }) {
    this.id = id;
    this.#shim = shim;
    this.#bundle = bundle;
    this.#plan = plan;
  }

  /** Throws what the system says when it cannot be written down. */
  static create(shim: Shim, bundle: string, what: { id: string; plan: Plan }): Sandbox {
    const created = new Sandbox(shim, bundle, what);
    writeSandbox(bundle, created.#record());
    return created;
  }

  /** Takes over from a shim that was killed. `known`: the holder's end, if whoever asks knows it; null else. */
  static adopt(
    shim: Shim,
    bundle: string,
    { record, thisBoot, known }: { record: SandboxRecord; thisBoot: boolean; known: Ended | null },
  ): Sandbox {
    const adopted = new Sandbox(shim, bundle, record);
    adopted.createdAt = record.createdAt;
    adopted.ended = record.ended;
    adopted.#asked = record.asked;
    if (record.createdAt !== 0n) {
      adopted.pid = record.pid;
      adopted.#startTime = record.startTime;
      if (record.ended === null && !(thisBoot && adopted.#watch())) {
        adopted.#over(known ?? { code: EXIT_UNKNOWN, at: adopted.#now() });
      }
    } else if (record.pid !== 0 && thisBoot) {
      // Nobody was told of it, and it may be about to end by itself: whoever asked for the start asks again.
      killProcess(record);
    }
    keepSandbox(shim.log, bundle, adopted.#record());
    return adopted;
  }

  start(): void {
    if (this.createdAt !== 0n || this.ended !== null) {
      throw new Failure("failed_precondition", `sandbox ${this.id} has been started`);
    }
    try {
      const holder = hold(this.id, this.#plan);
      using _go = holder.go;
      this.pid = holder.pid;
      this.#startTime = startTime(holder.pid) ?? "";
      writeSandbox(this.#bundle, this.#record());
      letGo(holder);
      this.createdAt = this.#now();
      writeSandbox(this.#bundle, this.#record());
    } catch (thrown) {
      this.#undoStart();
      const message = `failed to make the sandbox's namespaces: ${messageOf(thrown)}`;
      throw new Failure("unknown", message, { cause: thrown });
    }
    this.#shim.reaper.expect(this.pid, (ended) => this.#over(ended));
  }

  #undoStart(): void {
    if (this.pid === 0) return;
    kill(this.pid, SIGKILL);
    this.pid = 0;
    this.#startTime = "";
    this.createdAt = 0n;
    keepSandbox(this.#shim.log, this.#bundle, this.#record());
  }

  /** From now on the end of its holder is one that was asked for, which is no failure. */
  askToStop(): void {
    if (this.#asked || this.ended !== null) return;
    this.#asked = true;
    keepSandbox(this.#shim.log, this.#bundle, this.#record());
  }

  /** Ends the holder. */
  stop(): void {
    this.askToStop();
    if (this.ended !== null) return;
    if (this.pid === 0) this.#over({ code: 0, at: this.#now() });
    else killProcess({ pid: this.pid, startTime: this.#startTime });
  }

  /** A caller that goes away is forgotten. */
  wait(caller: CancelSource): Promise<Ended> {
    if (this.ended !== null) return Promise.resolve(this.ended);
    return new Promise((resolve, reject) => {
      this.#waiting.add(resolve);
      caller.onCancel(() => {
        if (this.#waiting.delete(resolve)) reject(new Failure("canceled", "context canceled"));
      });
    });
  }

  /** Nobody can take it over any more. */
  forget(): void {
    removeSandboxRecord(this.#bundle);
  }

  /** Whether the holder that the record names is there: then its end will be told. */
  #watch(): boolean {
    const pidfd = openPidfdIfThere(this.pid);
    if (pidfd === null || startTime(this.pid) !== this.#startTime) {
      pidfd?.close();
      return false;
    }
    const watched = { pid: this.pid, startTime: this.#startTime, pidfd };
    watchProcess(this.#shim.runtime.loop, watched, (ended) => this.#over(ended));
    return true;
  }

  #over({ code, at }: Ended): void {
    this.ended = { code: this.#asked ? 0 : code, at };
    keepSandbox(this.#shim.log, this.#bundle, this.#record());
    for (const resolve of this.#waiting) resolve(this.ended);
    this.#waiting.clear();
  }

  #now(): bigint {
    return this.#shim.runtime.clock.nowNanoseconds();
  }

  #record(): SandboxRecord {
    return {
      id: this.id,
      namespace: this.#shim.namespace,
      plan: this.#plan,
      pid: this.pid,
      startTime: this.#startTime,
      createdAt: this.createdAt,
      asked: this.#asked,
      ended: this.ended,
      shim: processId(),
    };
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
