// The Engine API's server: listens, takes the version prefix off, finds the route and turns what it throws into an
// error body. One task per connection; the codec of wire/http does the rest.

import { PAGE_NOT_FOUND, versionTooNew, versionTooOld } from "../../../../api/engine/messages.ts";
import { compareApiVersions } from "../../../../api/engine/version.ts";
import { encodeUtf8 } from "../../../../base/bytes.ts";
import { Failure } from "../../../../base/errors.ts";
import type { Clock, Connection, Listener } from "../../../../base/runtime.ts";
import type { HeaderLine } from "../../../../wire/http/headers.ts";
import { percentDecode } from "../../../../wire/http/query.ts";
import type { Responder } from "../../../../wire/http/responder.ts";
import { type ServerRequest, serveConnection } from "../../../../wire/http/server.ts";
import { API_MAX, ENGINE_VERSION } from "../../version.ts";
import { errorBody, statusOf } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import type { Router } from "./router.ts";

/** Connections one listener serves at a time; further ones wait in the kernel's queue. */
const MAX_CONNECTIONS = 4096;
/** Milliseconds a client may take to send one request head, idle time between two included. */
const HEAD_TIMEOUT_MS = 600_000;

export interface EngineServerOptions {
  router: Router;
  clock: Clock;
  minVersion: string;
  experimental: boolean;
  /** Told of defects: errors that no client caused. */
  report: (message: string) => void;
}

export class EngineServer {
  readonly #options: EngineServerOptions;
  readonly #headers: HeaderLine[];
  readonly #open = new Set<Connection>();
  #wake: (() => void) | null = null;

  constructor(options: EngineServerOptions) {
    this.#options = options;
    this.#headers = [
      ["Api-Version", API_MAX],
      ["Docker-Experimental", String(options.experimental)],
      ["Ostype", "linux"],
      ["Server", `Docker/${ENGINE_VERSION} (linux)`],
    ];
  }

  /** Serves until the listener is closed. */
  async serve(listener: Listener): Promise<void> {
    for (;;) {
      while (this.#open.size >= MAX_CONNECTIONS) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      const connection = await listener.accept();
      if (connection === null) return;
      void this.#serveOne(connection);
    }
  }

  /** Cuts every connection off; used at the end of a shutdown. */
  closeAll(): void {
    for (const connection of this.#open) connection.close();
  }

  async #serveOne(connection: Connection): Promise<void> {
    this.#open.add(connection);
    const { clock, report } = this.#options;
    await serveConnection(connection, (request, responder) => this.#answer(request, responder), {
      clock,
      headTimeout: HEAD_TIMEOUT_MS,
      failed: (thrown, request) => {
        if (statusOf(thrown) === 500) report(`${request.method} ${request.path}: ${errorBody(thrown).message}`);
      },
    });
    this.#open.delete(connection);
    this.#wake?.();
    this.#wake = null;
  }

  async #answer(request: ServerRequest, responder: Responder): Promise<void> {
    try {
      const { version, path } = this.#splitVersion(request.path);
      const found = this.#options.router.find(request.method, path);
      if (found === null) throw new Failure("not_found", PAGE_NOT_FOUND);
      const params: Record<string, string> = {};
      for (const [name, value] of Object.entries(found.params)) {
        const decoded = percentDecode(value);
        if (decoded === null) throw new Failure("invalid_argument", "invalid path: broken percent-encoding");
        params[name] = decoded;
      }
      const headers = this.#headers;
      await found.route(new Exchange({ request, responder, version, params, headers }));
    } catch (thrown) {
      if (responder.sent) throw thrown;
      await this.#refuse(thrown, request, responder);
    }
  }

  async #refuse(thrown: unknown, request: ServerRequest, responder: Responder): Promise<void> {
    const status = statusOf(thrown);
    if (status >= 500 && status !== 501 && status !== 503) {
      this.#options.report(`${request.method} ${request.path}: ${errorBody(thrown).message}`);
    }
    if (status === 304) return responder.send(304, this.#headers, null);
    const headers: HeaderLine[] = [...this.#headers, ["Content-Type", "application/json"]];
    await responder.send(status, headers, encodeUtf8(`${JSON.stringify(errorBody(thrown))}\n`));
  }

  #splitVersion(path: string): { version: string; path: string } {
    const match = /^\/v([0-9.]+)(\/.*)?$/.exec(path);
    if (match === null) return { version: API_MAX, path };
    const version = match[1]!;
    const { minVersion } = this.#options;
    if (compareApiVersions(version, minVersion) < 0) {
      throw new Failure("invalid_argument", versionTooOld(version, minVersion));
    }
    if (compareApiVersions(version, API_MAX) > 0) {
      throw new Failure("invalid_argument", versionTooNew(version, API_MAX));
    }
    return { version, path: match[2] ?? "/" };
  }
}
