// Docker's events: a ring of the last 256, and everybody who listens. Written by whoever changes something; read by
// GET /events. A listener that does not keep up is cut off rather than kept in memory.

export interface EngineEvent {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
  scope: "local";
  /** Seconds and nanoseconds since 1970. */
  time: number;
  timeNano: bigint;
}

const RING = 256;
/** Events one listener may lag behind. */
const MAX_LAG = 4096;

export class Events {
  readonly #ring: EngineEvent[] = [];
  readonly #listeners = new Set<Listener>();
  #last = 0n;

  emit(type: string, action: string, actor: { id: string; attributes: Record<string, string> }): void {
    let timeNano = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
    if (timeNano <= this.#last) timeNano = this.#last + 1n;
    this.#last = timeNano;
    const event: EngineEvent = {
      Type: type,
      Action: action,
      Actor: { ID: actor.id, Attributes: actor.attributes },
      scope: "local",
      time: Number(timeNano / 1_000_000_000n),
      timeNano,
    };
    this.#ring.push(event);
    if (this.#ring.length > RING) this.#ring.shift();
    for (const listener of this.#listeners) listener.push(event);
  }

  /** Past events from the ring that lie in the range, oldest first. */
  past(since: bigint, until: bigint | null): EngineEvent[] {
    return this.#ring.filter((event) => event.timeNano >= since && (until === null || event.timeNano <= until));
  }

  listen(): Listener {
    const listener = new Listener(() => this.#listeners.delete(listener));
    this.#listeners.add(listener);
    return listener;
  }
}

export class Listener implements Disposable {
  readonly #queue: EngineEvent[] = [];
  readonly #gone: () => void;
  #wake: (() => void) | null = null;
  #closed = false;

  constructor(gone: () => void) {
    this.#gone = gone;
  }

  push(event: EngineEvent): void {
    if (this.#queue.length >= MAX_LAG) {
      this.close();
      return;
    }
    this.#queue.push(event);
    this.#wake?.();
  }

  /** The next event; null once closed. */
  async next(): Promise<EngineEvent | null> {
    while (this.#queue.length === 0) {
      if (this.#closed) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#queue.shift()!;
  }

  close(): void {
    this.#closed = true;
    this.#gone();
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
