// Interfaces that are on their way out. When a namespace is let go the kernel takes its interfaces down by itself, some
// 20 ms later and without anybody waiting; deleting one by a request takes that time of ours. So Detach leaves it to
// the kernel, looks again a little later, and deletes what is still there (a process of the container that outlived
// it).
//
//     begin ──50 ms──▶ gone? ──250 ms──▶ gone? ──1 s──▶ deleted
//
// Until then the address is not given to another container: two ports of the bridge would have its hardware address.

import type { RouteSocket } from "../../linux/netlink-route.ts";
import type { Loop } from "../../runtime/quickjs/loop.ts";

const LOOKS = [50, 250, 1000] as const;

export interface Departure {
  interface: string;
  address: string;
}

export class Departures {
  readonly #loop: Loop;
  readonly #route: RouteSocket;
  readonly #leaving = new Map<string, Departure>();
  #waiting: (() => void)[] = [];

  constructor(loop: Loop, route: RouteSocket) {
    this.#loop = loop;
    this.#route = route;
  }

  /** Addresses that are still in use. */
  addresses(): string[] {
    return [...this.#leaving.values()].map((departure) => departure.address);
  }

  begin(departure: Departure): void {
    this.#leaving.set(departure.interface, departure);
    this.#lookIn(departure, 0);
  }

  /** Resolves when nothing is left. */
  async done(): Promise<void> {
    if (this.#leaving.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #lookIn(departure: Departure, step: number): void {
    this.#loop.timer(LOOKS[step]!, () => {
      const last = step === LOOKS.length - 1;
      if (last) this.#route.deleteLink(departure.interface);
      else if (this.#route.link(departure.interface) !== null) {
        this.#lookIn(departure, step + 1);
        return;
      }
      this.#leaving.delete(departure.interface);
      if (this.#leaving.size > 0) return;
      for (const resolve of this.#waiting.splice(0)) resolve();
    });
  }
}
