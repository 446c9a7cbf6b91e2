// The connection of one command to containerd: the nouns of the namespace the command line names, and a lease for what
// a command makes in several steps.

import { statSync } from "node:fs";
import { Failure } from "../../../base/errors.ts";
import { LEASE_HEADER } from "../../../core/leases/remote.ts";
import { type Nouns, RemoteContainerd } from "../../../core/remote.ts";
import type { Headers } from "../../../wire/call.ts";
import { NAMESPACE_HEADER } from "../../../wire/grpc/options.ts";
import type { GlobalSettings } from "../cli/invocation.ts";

/** Without --connect-timeout; milliseconds. */
const CONNECT_LIMIT = 10_000;
/** How long a lease outlives a ctr that could not give it up. */
const LEASE_HOURS = 24;

export class Session {
  readonly containerd: RemoteContainerd;
  readonly namespace: string;
  readonly nouns: Nouns;

  private constructor(containerd: RemoteContainerd, namespace: string) {
    this.containerd = containerd;
    this.namespace = namespace;
    this.nouns = containerd.scoped({ namespace, lease: null, acknowledged: true });
  }

  static async open(global: GlobalSettings): Promise<Session> {
    const path = global.address.replace(/^unix:\/\//, "");
    const containerd = new RemoteContainerd(path);
    const limit = global.connectTimeout > 0 ? global.connectTimeout / 1e6 : CONNECT_LIMIT;
    try {
      checkSocket(path);
      await containerd.client.ready(limit);
    } catch (thrown) {
      containerd.close();
      throw dialFailure(path, thrown);
    }
    return new Session(containerd, global.namespace);
  }

  /** Headers of a call that goes past the nouns. */
  get headers(): Headers {
    return { [NAMESPACE_HEADER]: this.namespace };
  }

  /** The nouns with a lease that keeps what `work` makes until its records stand. */
  async leased<T>(work: (nouns: Nouns, headers: Headers) => Promise<T>): Promise<T> {
    const expires = new Date(Date.now() + LEASE_HOURS * 3600_000).toISOString();
    const lease = await this.nouns.leases.create({ id: "", labels: { "containerd.io/gc.expire": expires } });
    const scope = { namespace: this.namespace, lease: lease.id, acknowledged: true };
    try {
      return await work(this.containerd.scoped(scope), { ...this.headers, [LEASE_HEADER]: lease.id });
    } finally {
      await this.nouns.leases.delete(lease.id, false).catch(() => {});
    }
  }

  /** Nouns whose records may be lost with the machine's power: of a container that is removed when it ends. */
  passing(): Nouns {
    return this.containerd.scoped({ namespace: this.namespace, lease: null, acknowledged: false });
  }

  close(): void {
    this.containerd.close();
  }
}

/** Nobody can answer where no socket is: said at once instead of after the time limit. */
function checkSocket(path: string): void {
  try {
    if (statSync(path).isSocket()) return;
  } catch (cause) {
    throw new Failure("unavailable", "no such file or directory", { cause });
  }
  throw new Failure("unavailable", "not a socket");
}

function dialFailure(path: string, thrown: unknown): Failure {
  const reason = thrown instanceof Failure && !thrown.message.startsWith("the daemon") ? thrown.message : "timeout";
  const dialing = `error while dialing: dial unix ${path}: ${reason}`;
  const text = `failed to dial "${path}": connection error: desc = "transport: ${dialing}"`;
  return new Failure("unavailable", text, { cause: thrown });
}
