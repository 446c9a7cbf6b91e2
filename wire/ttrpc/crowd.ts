// Who has to go when a server holds as many connections as it may: of the process that has the most, the first that has
// no call under way. A daemon holds one or two, may leave them alone for days, and takes their end for the end of the
// server; so a crowd always costs itself its places, not the daemon.

/** Connections of one process that are no crowd. */
const USUAL = 4;

export interface Guest {
  /** The process at the other end; 0 where that is not known. */
  readonly peer: number;
  /** Whether a call of it is under way. */
  readonly busy: boolean;
  close(): void;
}

export class Crowd<G extends Guest> implements Iterable<G> {
  readonly #guests = new Set<G>();
  readonly #counts = new Map<number, number>();

  get size(): number {
    return this.#guests.size;
  }

  [Symbol.iterator](): Iterator<G> {
    return this.#guests.values();
  }

  add(guest: G): void {
    this.#guests.add(guest);
    this.#counts.set(guest.peer, (this.#counts.get(guest.peer) ?? 0) + 1);
  }

  delete(guest: G): void {
    if (!this.#guests.delete(guest)) return;
    const left = this.#counts.get(guest.peer)! - 1;
    if (left === 0) this.#counts.delete(guest.peer);
    else this.#counts.set(guest.peer, left);
  }

  /** Makes room for `last`, which has just come, or turns it away: when nobody is a crowd, or all of it are at work. */
  makeRoom(last: G): void {
    let [crowd, most] = [-1, USUAL];
    for (const [peer, count] of this.#counts) if (count > most) [crowd, most] = [peer, count];
    let out = last;
    for (const guest of this.#guests) {
      if (guest.busy || guest.peer !== crowd) continue;
      out = guest;
      break;
    }
    this.delete(out);
    out.close();
  }
}
