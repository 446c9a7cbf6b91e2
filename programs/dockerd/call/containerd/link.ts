// The link to containerd over time: connects, listens to its events, and does both again when it was gone. Whoever uses
// it asks for `current` each time; while there is none, calls fail with "unavailable".
//
//   connecting ──▶ up (subscribed, states re-read) ──connection lost──▶ down ──backoff──▶ connecting
//                                                                        └── our own child died: started again

import { Failure, messageOf } from "../../../../base/errors.ts";
import type { Envelope } from "../../../../core/events/events.ts";
import type { Log } from "../../engine.ts";
import { connectContainerd } from "./connect.ts";
import type { Containerd } from "./containerd.ts";
import type { OwnContainerd } from "./supervise.ts";

/** Milliseconds between attempts: the first, the longest. */
const FIRST_RETRY_MS = 50;
const LONGEST_RETRY_MS = 2000;

export interface LinkOptions {
  socket: string;
  namespace: string;
  snapshotter: string;
  /** Null when somebody else's containerd is used. */
  own: OwnContainerd | null;
  log: Log;
  /** Called after each connection, subscribed already: what was missed must be read now. */
  connected: (containerd: Containerd) => Promise<void>;
  event: (envelope: Envelope) => void;
}

export class ContainerdLink {
  readonly #options: LinkOptions;
  readonly #abort = new AbortController();
  #current: Containerd | null = null;
  #loop: Promise<void> | null = null;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  get current(): Containerd {
    if (this.#current !== null) return this.#current;
    throw new Failure("unavailable", "containerd is not reachable at the moment; dockerd is trying to reconnect");
  }

  /** The first connection; throws when it cannot be had. Goes on in the background. */
  async start(): Promise<void> {
    const { own } = this.#options;
    if (own !== null) await own.ensure();
    const first = await this.#connect();
    this.#loop = this.#keep(first);
  }

  async close(): Promise<void> {
    this.#abort.abort();
    this.#current?.close();
    this.#current = null;
    await this.#loop;
  }

  #connect(): Promise<Containerd> {
    const { socket, namespace, snapshotter } = this.#options;
    return connectContainerd({ socket, namespace, snapshotter });
  }

  async #keep(first: Containerd): Promise<void> {
    const { log, own } = this.#options;
    let next: Containerd | null = first;
    for (let delay = FIRST_RETRY_MS; !this.#abort.signal.aborted; ) {
      try {
        next ??= await this.#connect();
        await this.#listen(next, () => {
          delay = FIRST_RETRY_MS;
        });
      } catch (thrown) {
        if (this.#abort.signal.aborted) return;
        log.warn(`containerd: ${messageOf(thrown)}; trying again`);
      }
      this.#current = null;
      next?.close();
      next = null;
      if (this.#abort.signal.aborted) return;
      await new Promise((resolve) => setTimeout(resolve, delay));
      delay = Math.min(delay * 2, LONGEST_RETRY_MS);
      if (own !== null) await own.ensure().catch((thrown) => log.error(messageOf(thrown)));
    }
  }

  /** Returns or throws when the connection is lost. */
  async #listen(containerd: Containerd, up: () => void): Promise<void> {
    const { namespace, event, connected } = this.#options;
    const filters = ["tasks", "images"].map((noun) => `namespace==${namespace},topic~=|^/${noun}/|`);
    const stream = containerd.events(filters, this.#abort.signal)[Symbol.asyncIterator]();
    const first = stream.next();
    first.catch(() => {});
    this.#current = containerd;
    await connected(containerd);
    up();
    for (let step = await first; step.done !== true; step = await stream.next()) event(step.value);
    throw new Failure("unavailable", "the event stream ended");
  }
}
