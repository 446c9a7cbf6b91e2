// The serving side of ttrpc, on both engines: the shim's task service, containerd's event forwarding.
//
//     frame ─▶ Request ─▶ handler(request, context) ─▶ Response or its Status
//                            │ runs beside others of the same connection; answered in the order they end
//                            └ context is canceled when the connection ends or the caller's time is up
//
// Whatever a connection sends harms only itself: a bad message is refused, a foreign protocol ends the connection. What
// all of them hold together is bounded, too (ServerLimits).

import { Request, Response } from "../../api/wellknown/gen/ttrpc.ts";
import { Failure } from "../../base/errors.ts";
import type { ByteStream, Clock, Connection, Listener } from "../../base/runtime.ts";
import { type AnyHandlers, type CallContext, Cancel, type HandlersOf, type Headers } from "../call.ts";
import type { AnyMethod, AnyService } from "../protobuf/service.ts";
import { Budget } from "./budget.ts";
import { Crowd } from "./crowd.ts";
import * as frames from "./frame.ts";
import * as limits from "./limits.ts";
import { headersOf, NAMESPACE_HEADER } from "./metadata.ts";
import { answerOf, deadlineFailure, statusOf } from "./status.ts";

interface Registered {
  service: AnyService;
  handlers: AnyHandlers;
}

/** What the connections of one server share. */
interface Shared {
  readonly clock: Clock;
  readonly limits: limits.ServerLimits;
  readonly partial: Budget;
  readonly unsent: Budget;
  /** Under way. */
  calls: number;
}

export class TtrpcServer {
  readonly #shared: Shared;
  readonly #services = new Map<string, Registered>();
  readonly #connections = new Crowd<ServedConnection>();

  constructor(clock: Clock, bounds: limits.ServerLimits = limits.SERVER_LIMITS) {
    const { partial, unsent } = bounds;
    this.#shared = { clock, limits: bounds, partial: new Budget(partial), unsent: new Budget(unsent), calls: 0 };
  }

  register<S extends AnyService>(service: S, handlers: HandlersOf<S>): void {
    this.#services.set(service.name, { service, handlers: handlers as AnyHandlers });
  }

  /** Serves until the listener is closed. `admit` looks at a connection before its first byte is read (who is it?). */
  async serve(listener: Listener, admit: (connection: Connection) => boolean = () => true): Promise<void> {
    for (let next = await listener.accept(), count = 1; next !== null; next = await listener.accept(), count++) {
      if (admit(next)) void this.serveConnection(next, next.peer?.pid ?? 0);
      else next.close();
      // Many who come at once must not keep the loop from those who are here.
      if (count % limits.ACCEPT_TURN === 0) await this.#shared.clock.sleep(0);
    }
  }

  /** Serves one connection of that process (0: unknown) to its end, then closes it. Never throws. */
  async serveConnection(stream: ByteStream, peer = 0): Promise<void> {
    const connection = new ServedConnection(stream, peer, { shared: this.#shared, find: (one) => this.#find(one) });
    this.#connections.add(connection);
    if (this.#connections.size > this.#shared.limits.connections) this.#connections.makeRoom(connection);
    await connection.run();
    this.#connections.delete(connection);
  }

  /** Ends all connections; their calls are canceled. */
  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  #find(request: Request): { method: AnyMethod; run: (message: never, context: CallContext) => unknown } {
    const found = this.#services.get(request.service);
    if (found === undefined) throw new Failure("unimplemented", `service ${request.service}`);
    // A walk over some twenty names: a table of them would be memory in each idle shim.
    for (const [name, method] of Object.entries(found.service.methods)) {
      const call = found.handlers[name];
      if (method.name !== request.method || call === undefined) continue;
      if (!method.clientStream && !method.serverStream) return { method, run: call.bind(found.handlers) };
      throw new Failure("unimplemented", `method ${request.method}: streams are not served over ttrpc`);
    }
    throw new Failure("unimplemented", `method ${request.method}`);
  }
}

/** What a handler sees; owned by one call. */
class ServedCall extends Cancel implements CallContext {
  readonly headers: Headers;
  answered = false;

  constructor(headers: Headers) {
    super();
    this.headers = headers;
  }

  get namespace(): string {
    return this.headers[NAMESPACE_HEADER] ?? "";
  }
}

type Find = (request: Request) => { method: AnyMethod; run: (message: never, context: CallContext) => unknown };

class ServedConnection {
  readonly peer: number;
  readonly #stream: ByteStream;
  readonly #shared: Shared;
  readonly #find: Find;
  readonly #calls = new Map<number, ServedCall>();
  #unsent = 0;
  #sent: (() => void) | null = null;
  #closed = false;

  constructor(stream: ByteStream, peer: number, { shared, find }: { shared: Shared; find: Find }) {
    this.peer = peer;
    this.#stream = stream;
    this.#shared = shared;
    this.#find = find;
  }

  get busy(): boolean {
    return this.#calls.size > 0;
  }

  async run(): Promise<void> {
    const { clock, partial } = this.#shared;
    const reader = new frames.FrameReader(this.#stream, { budget: partial, holder: this });
    try {
      for (let frame = await reader.next(), count = 1; frame !== null; frame = await reader.next(), count++) {
        // A failed answer ends the connection also while frames are left in the buffer: a call among them would be
        // one that nobody cancels any more.
        if (this.#closed) break;
        this.#receive(frame);
        // A peer that never stops sending must not keep the loop from everybody else.
        if (count % limits.TURN_LIMIT === 0) await clock.sleep(0);
        while (this.#unsent > limits.UNSENT_LIMIT && !this.#closed) await this.#progress();
      }
    } catch {
      // A reset, or a peer that speaks something else: for this connection both are the end.
    }
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stream.close();
    this.#wake();
    this.#shared.unsent.give(this, this.#unsent);
    this.#shared.calls -= this.#calls.size;
    for (const call of this.#calls.values()) call.cancel();
    this.#calls.clear();
  }

  #receive(frame: frames.Frame): void {
    const { streamId } = frame;
    try {
      if (frame.payload === null) throw frames.oversized(frame.length);
      if (streamId % 2 === 0) {
        throw new Failure("invalid_argument", "StreamID must be odd for client initiated streams");
      }
      // No stream of data is ever open here; other types are left for a later protocol, as the original does.
      if (frame.type === frames.FRAME_DATA) throw new Failure("invalid_argument", "StreamID is no longer active");
      if (frame.type !== frames.FRAME_REQUEST) return;
      if (this.#calls.has(streamId)) {
        throw new Failure("invalid_argument", "StreamID cannot be re-used and must increment");
      }
      this.#requireRoom();
      const request = Request.decode(frame.payload, limits.ELEMENTS_LIMIT);
      const found = this.#find(request);
      if ((frame.flags & frames.FLAG_REMOTE_OPEN) !== 0) {
        throw new Failure("unimplemented", `method ${request.method} takes one message and no stream`);
      }
      void this.#answer(streamId, request, found);
    } catch (thrown) {
      this.#send(streamId, { status: statusOf(thrown), payload: new Uint8Array(0) });
    }
  }

  #requireRoom(): void {
    if (this.#calls.size >= limits.CALLS_LIMIT) {
      throw new Failure("resource_exhausted", `more than ${limits.CALLS_LIMIT} unanswered requests on one connection`);
    }
    const { calls } = this.#shared.limits;
    if (this.#shared.calls >= calls) throw new Failure("resource_exhausted", `more than ${calls} unanswered requests`);
  }

  /** Runs the handler. Its answer is dropped when the call was ended meanwhile. */
  async #answer(streamId: number, request: Request, found: ReturnType<Find>): Promise<void> {
    const call = new ServedCall(headersOf(request.metadata));
    this.#calls.set(streamId, call);
    this.#shared.calls++;
    const finish = (response: Response) => {
      if (call.answered || this.#closed) return;
      call.answered = true;
      this.#calls.delete(streamId);
      this.#shared.calls--;
      this.#send(streamId, response);
    };
    using _deadline = this.#deadline(request.timeoutNano, () => {
      finish({ status: statusOf(deadlineFailure()), payload: new Uint8Array(0) });
      call.cancel();
    });
    try {
      const answer = await found.run(
        found.method.request.decode(request.payload, limits.ELEMENTS_LIMIT) as never,
        call,
      );
      finish({ status: null, payload: found.method.response.encode(answer) });
    } catch (thrown) {
      finish({ status: answerOf(thrown), payload: new Uint8Array(0) });
    }
  }

  #deadline(nanoseconds: bigint, expired: () => void): Disposable {
    // A deadline beyond what a timer can count (292 years fit the field) is none.
    if (nanoseconds <= 0n || nanoseconds > BigInt(Number.MAX_SAFE_INTEGER)) return { [Symbol.dispose]() {} };
    return this.#shared.clock.timer(Math.min(Number(nanoseconds) / 1e6, 0x7fffffff), expired);
  }

  #send(streamId: number, response: Response): void {
    let bytes: Uint8Array;
    try {
      bytes = frames.encodeFrame(streamId, frames.FRAME_RESPONSE, Response.encode(response));
    } catch (thrown) {
      const refusal = { status: statusOf(thrown), payload: new Uint8Array(0) };
      bytes = frames.encodeFrame(streamId, frames.FRAME_RESPONSE, Response.encode(refusal));
    }
    if (this.#closed) return;
    this.#unsent += bytes.length;
    const { unsent } = this.#shared;
    unsent.take(this, bytes.length);
    if (this.#closed) return;
    this.#stream.write(bytes).then(
      () => {
        this.#unsent -= bytes.length;
        unsent.give(this, bytes.length);
        this.#wake();
      },
      () => this.close(),
    );
  }

  #progress(): Promise<void> {
    return new Promise((resolve) => {
      this.#sent = resolve;
    });
  }

  #wake(): void {
    const waiting = this.#sent;
    this.#sent = null;
    waiting?.();
  }
}
