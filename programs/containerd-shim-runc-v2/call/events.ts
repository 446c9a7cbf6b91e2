// Events to the daemon, in order: Events.Forward over its ttrpc socket, or its own `publish` command where it has none.
// The daemon may be away for as long as it likes: events wait, at most EVENT_QUEUE_LIMIT of them, and are tried again.
//
//     publish ──▶ queue ──▶ one at a time: connect if need be, Forward ──▶ next
//                   ▲                        └─ refused or away: wait, longer each time ─┐
//                   └────────────────────────────────────────────────────────────────────┘

import type { Envelope } from "../../../api/containerd/gen/types.ts";
import { Events } from "../../../api/task/gen/events.ts";
import { Any } from "../../../api/wellknown/gen/any.ts";
import { codeOf, messageOf } from "../../../base/errors.ts";
import { door } from "../../../linux/door.ts";
import * as fd from "../../../linux/fd.ts";
import type { QuickJsRuntime } from "../../../runtime/quickjs/runtime.ts";
import type { MessageType } from "../../../wire/protobuf/codec.ts";
import { TtrpcClient } from "../../../wire/ttrpc/client.ts";
import { NAMESPACE_HEADER } from "../../../wire/ttrpc/metadata.ts";
import { EVENT_ATTEMPTS, EVENT_QUEUE_LIMIT, EVENT_RETRY_FIRST, EVENT_RETRY_LAST } from "../limits.ts";
import type { Log } from "../log.ts";
import type { Reaper } from "../reaper.ts";
import { timestamp } from "../time.ts";
import { startProgram } from "./program.ts";

export interface EventSettings {
  namespace: string;
  /** The daemon's ttrpc socket; "" when it has none. */
  ttrpcAddress: string;
  grpcAddress: string;
  publishBinary: string;
}

const AWAY: readonly string[] = ["unavailable"];

interface Parts {
  runtime: QuickJsRuntime;
  reaper: Reaper;
  log: Log;
}

export class Publisher {
  readonly #parts: Parts;
  readonly #settings: EventSettings;
  readonly #queue: Envelope[] = [];
  #client: TtrpcClient | null = null;
  #sending = false;
  #lost = 0;
  #pause = EVENT_RETRY_FIRST;
  #wake: () => void = () => {};

  constructor(parts: Parts, settings: EventSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  publish<T>(topic: string, type: MessageType<T>, event: T): void {
    const { runtime, log } = this.#parts;
    if (this.#queue.length >= EVENT_QUEUE_LIMIT) {
      // Not the first: it may be under way.
      const dropped = this.#queue.splice(1, 1)[0];
      this.#lost++;
      log.say("warning", `${this.#lost} events were dropped, the last of topic ${dropped?.topic}`);
    }
    this.#queue.push({
      timestamp: timestamp(runtime.clock.nowNanoseconds()),
      namespace: this.#settings.namespace,
      topic,
      event: { typeUrl: type.typeName, value: type.encode(event) },
    });
    if (!this.#sending) void this.#send();
  }

  /** Somebody connected to the shim: the daemon is back, or about to be. */
  hurry(): void {
    this.#pause = EVENT_RETRY_FIRST;
    this.#wake();
  }

  /** Whether nothing waits. */
  get idle(): boolean {
    return !this.#sending;
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
  }

  async #send(): Promise<void> {
    this.#sending = true;
    let refusals = 0;
    while (this.#queue.length > 0) {
      try {
        await this.#forward(this.#queue[0]!);
      } catch (thrown) {
        this.close();
        // A daemon that is away may be away for long; one that answers "no" again and again will not take it at all.
        if (!AWAY.includes(codeOf(thrown))) refusals++;
        if (refusals < EVENT_ATTEMPTS) {
          await this.#rest();
          continue;
        }
        this.#parts.log.say("error", `event ${this.#queue[0]!.topic} was refused: ${messageOf(thrown)}`);
      }
      this.#queue.shift();
      this.#pause = EVENT_RETRY_FIRST;
      refusals = 0;
    }
    this.#sending = false;
  }

  /** Until the next attempt. */
  #rest(): Promise<void> {
    const pause = this.#pause;
    this.#pause = Math.min(pause * 2, EVENT_RETRY_LAST);
    return new Promise((resolve) => {
      const timer = this.#parts.runtime.clock.timer(pause, resolve);
      this.#wake = () => {
        timer[Symbol.dispose]();
        resolve();
      };
    });
  }

  async #forward(envelope: Envelope): Promise<void> {
    if (this.#settings.ttrpcAddress === "") return this.#runPublisher(envelope);
    const client = await this.#connected();
    // Without a time limit: a daemon that is stopped takes what it was sent when it goes on, and would take each
    // further attempt as a further event. One that is gone ends the connection.
    await client.of(Events).forward({ envelope });
  }

  async #connected(): Promise<TtrpcClient> {
    if (this.#client !== null) return this.#client;
    const { clock } = this.#parts.runtime;
    const path = this.#settings.ttrpcAddress.replace(/^unix:\/\//, "");
    const stream = await this.#parts.runtime.connectUnix(path);
    const client = new TtrpcClient(stream, { clock, headers: { [NAMESPACE_HEADER]: this.#settings.namespace } });
    this.#client = client;
    void client.closed.then(() => {
      if (this.#client === client) this.#client = null;
    });
    return client;
  }

  /** `<daemon> --address A publish --topic T --namespace N` with the event (an Any) on standard input. */
  async #runPublisher(envelope: Envelope): Promise<void> {
    const { publishBinary, grpcAddress, namespace } = this.#settings;
    if (publishBinary === "") return;
    const input = fd.pipe();
    try {
      const pid = startProgram({
        path: publishBinary,
        args: ["--address", grpcAddress, "publish", "--topic", envelope.topic, "--namespace", namespace],
        env: door().env,
        descriptors: [input.read.number, null, null],
        tied: true,
      });
      const exited = this.#parts.reaper.exitOf(pid);
      fd.writeAll(input.write.number, Any.encode(envelope.event!));
      input.write.close();
      const ended = await exited;
      if (ended.code !== 0) throw new Error(`${publishBinary} publish ended with ${ended.code}`);
    } finally {
      input.read.close();
      input.write.close();
    }
  }
}
