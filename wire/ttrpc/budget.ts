// Bytes that all connections of a server may hold together, for what each holds alone is no bound with a thousand of
// them. Whoever overdraws it is not to blame: the one that holds the most is ended, which never is a caller with
// messages of usual size.

export interface Holder {
  close(): void;
}

export class Budget {
  readonly #limit: number;
  readonly #held = new Map<Holder, number>();
  #total = 0;

  /** Bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  take(holder: Holder, bytes: number): void {
    this.#held.set(holder, (this.#held.get(holder) ?? 0) + bytes);
    this.#total += bytes;
    if (this.#total > this.#limit) this.#largest()?.close();
  }

  /** Gives back a part; of a holder that gave up everything nothing is known any more. */
  give(holder: Holder, bytes: number): void {
    const held = this.#held.get(holder);
    if (held === undefined) return;
    this.#total -= Math.min(held, bytes);
    if (held <= bytes) this.#held.delete(holder);
    else this.#held.set(holder, held - bytes);
  }

  #largest(): Holder | null {
    let most = 0;
    let found: Holder | null = null;
    for (const [holder, bytes] of this.#held) if (bytes > most) [most, found] = [bytes, holder];
    return found;
  }
}
