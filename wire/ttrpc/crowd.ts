// Who has to go when a server holds as many connections as it may: of the process that has the most, the one that
// does nothing for the longest time. A daemon holds one or two, may leave them alone for days, and takes their end for
// the end of the server; so a crowd always costs itself its places, not the daemon.

/** Connections of one process that are no crowd. */
const USUAL = 4;

export interface Guest {
  /** The process at the other end; 0 where that is not known. */
  readonly peer: number;
  /** Whether a call of it is under way. */
  readonly busy: boolean;
  /** When it was last heard of; milliseconds. */
  readonly active: number;
}

/** The last one when nobody is a crowd, or all of the crowd are at work. */
export function crowdedOut<G extends Guest>(guests: ReadonlySet<G>): G {
  const counts = new Map<number, number>();
  let [last, found]: [G | null, G | null] = [null, null];
  for (const guest of guests) {
    counts.set(guest.peer, (counts.get(guest.peer) ?? 0) + 1);
    last = guest;
  }
  let [crowd, most] = [0, USUAL];
  for (const [peer, count] of counts) if (count > most) [crowd, most] = [peer, count];
  for (const guest of guests) {
    if (most === USUAL || guest.busy || guest.peer !== crowd) continue;
    if (found === null || guest.active < found.active) found = guest;
  }
  return found ?? last!;
}
