// The client of the Engine API: negotiates the version once, speaks HTTP over whatever connection the context names,
// and turns the daemon's answers into values or a DaemonError with the daemon's words.

import { cannotConnect, DAEMON_ERROR_PREFIX } from "../../../../api/engine/messages.ts";
import { API_NEWEST, API_UNSTATED, compareApiVersions } from "../../../../api/engine/version.ts";
import { type Bytes, decodeUtf8, encodeUtf8 } from "../../../../base/bytes.ts";
import { Failure, messageOf } from "../../../../base/errors.ts";
import { formatJson, type Json, parseJson } from "../../../../base/json.ts";
import type { ByteStream } from "../../../../base/runtime.ts";
import { type BodyReader, readWhole } from "../../../../wire/http/body.ts";
import { type ClientResponse, HttpClient, type UpgradedResponse } from "../../../../wire/http/client.ts";
import type { HeaderLine } from "../../../../wire/http/headers.ts";
import { formatQuery } from "../../../../wire/http/query.ts";
import { CLIENT_VERSION } from "../../version.ts";

/** Bytes one JSON answer may have. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
const MAX_ERROR_BYTES = 1024 * 1024;

export type Query = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Call {
  query?: Query;
  /** Several values of one name, put behind the query. */
  repeated?: readonly (readonly [string, string])[];
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is, with this content type. */
  body?: { content: BodyReader | Uint8Array; type: string };
  headers?: readonly HeaderLine[];
}

export interface EngineOptions {
  /** As it stands in complaints: "unix:///…". */
  shownHost: string;
  httpHost: string;
  pathPrefix: string;
  /** "" to negotiate. */
  fixedVersion: string;
  headers: readonly HeaderLine[];
}

/** An answer of the daemon that is no success. `daemonMessage` is what it said, `message` what is printed. */
export class DaemonError extends Failure {
  readonly status: number;
  readonly daemonMessage: string;

  constructor(status: number, daemonMessage: string) {
    super("unknown", DAEMON_ERROR_PREFIX + daemonMessage, { facts: { status } });
    this.status = status;
    this.daemonMessage = daemonMessage;
  }
}

/** Nobody answers at the host, or not in HTTP. */
export class ConnectionFailure extends Failure {}

export class Engine {
  readonly #http: HttpClient;
  readonly #options: EngineOptions;
  #version: string | null = null;
  /** Of the last ping: "linux", and the version of the builder. */
  osType = "linux";

  constructor(dial: () => Promise<ByteStream>, options: EngineOptions) {
    this.#options = options;
    this.#http = new HttpClient(dial, options.httpHost);
  }

  get shownHost(): string {
    return this.#options.shownHost;
  }

  /** The version both sides know; asked once. */
  async version(): Promise<string> {
    if (this.#version === null) {
      if (this.#options.fixedVersion !== "") this.#version = this.#options.fixedVersion.replace(/^v/, "");
      else this.#version = await this.#negotiate();
    }
    return this.#version;
  }

  async atLeast(version: string): Promise<boolean> {
    return compareApiVersions(await this.version(), version) >= 0;
  }

  async get<Value>(path: string, query: Query = {}): Promise<Value> {
    return this.json<Value>("GET", path, { query });
  }

  async post<Value>(path: string, call: Call = {}): Promise<Value> {
    return this.json<Value>("POST", path, call);
  }

  /** The JSON of a successful answer; null when it has no body. */
  async json<Value>(method: string, path: string, call: Call = {}): Promise<Value> {
    const response = await this.open(method, path, call);
    const text = decodeUtf8(await readWhole(response.body, MAX_ANSWER_BYTES));
    if (text.trim() === "") return null as Value;
    try {
      return parseJson(text) as Value;
    } catch (thrown) {
      throw new Failure("data_loss", `the daemon's answer to ${method} ${path} is not JSON: ${messageOf(thrown)}`);
    }
  }

  /** A successful answer whose body the caller reads; an error answer is thrown. */
  async open(method: string, path: string, call: Call = {}): Promise<ClientResponse> {
    const response = await this.#request(method, await this.#target(path, call), call);
    if (response.status >= 400) throw await daemonError(response);
    return response;
  }

  /** A hijacked connection. */
  async upgrade(path: string, call: Call = {}): Promise<UpgradedResponse & { stream: ByteStream }> {
    const target = await this.#target(path, call);
    const response = await this.#connected(() =>
      this.#http.upgrade({ method: "POST", target, ...this.#payload("POST", call) }),
    );
    if (response.stream !== null) return { ...response, stream: response.stream };
    if (response.status >= 400) throw await daemonError(response);
    response.close();
    throw new Failure("unimplemented", `unable to upgrade to tcp, received ${response.status}`);
  }

  close(): void {
    this.#http[Symbol.dispose]();
  }

  async #target(path: string, call: Call): Promise<string> {
    const query = formatQuery(call.query ?? {});
    const more = (call.repeated ?? []).map((pair) => formatQuery(Object.fromEntries([pair])).slice(1)).join("&");
    const joint = more === "" ? "" : `${query === "" ? "?" : "&"}${more}`;
    return `${this.#options.pathPrefix}/v${await this.version()}${path}${query}${joint}`;
  }

  async #negotiate(): Promise<string> {
    const headers = this.#commonHeaders();
    const target = `${this.#options.pathPrefix}/_ping`;
    let response = await this.#connected(() => this.#http.request({ method: "HEAD", target, headers }));
    if (response.status === 404 || response.status === 405) {
      response = await this.#connected(() => this.#http.request({ method: "GET", target, headers }));
      await readWhole(response.body, MAX_ERROR_BYTES);
    }
    this.osType = response.headers.get("ostype") ?? "linux";
    const offered = response.headers.get("api-version") || API_UNSTATED;
    return compareApiVersions(offered, API_NEWEST) < 0 ? offered : API_NEWEST;
  }

  #request(method: string, target: string, call: Call): Promise<ClientResponse> {
    return this.#connected(() => this.#http.request({ method, target, ...this.#payload(method, call) }));
  }

  #payload(method: string, call: Call): { headers: HeaderLine[]; body: Bytes | Uint8Array | BodyReader | null } {
    const headers = [...this.#commonHeaders(), ...(call.headers ?? [])];
    if (call.body !== undefined) {
      return { headers: [...headers, ["Content-Type", call.body.type]], body: call.body.content };
    }
    if (call.json === undefined) return { headers, body: null };
    const body = encodeUtf8(`${formatJson(call.json as Json)}\n`);
    return { headers: [...headers, ["Content-Type", "application/json"]], body: method === "GET" ? null : body };
  }

  #commonHeaders(): HeaderLine[] {
    return [["User-Agent", `Docker-Client/${CLIENT_VERSION} (linux)`], ...this.#options.headers];
  }

  async #connected<Result>(action: () => Promise<Result>): Promise<Result> {
    try {
      return await action();
    } catch (thrown) {
      if (thrown instanceof Failure && thrown.code === "invalid_argument") {
        const words = `error during connect: ${thrown.message}: no Docker daemon answers at ${this.#options.shownHost}`;
        throw new ConnectionFailure("unavailable", words, { cause: thrown });
      }
      if (!(thrown instanceof Failure) || thrown.code !== "unavailable") throw thrown;
      const errno = String(thrown.facts["errno"] ?? "");
      const host = this.#options.shownHost;
      if (errno === "EACCES" || errno === "EPERM") {
        const words = `permission denied while trying to connect to the docker API at ${host}`;
        throw new ConnectionFailure("permission_denied", words, { cause: thrown });
      }
      if (errno === "ENOTFOUND" || errno === "EAI_AGAIN") {
        const words = `error during connect: dial tcp: lookup ${host.replace(/^tcp:\/\//, "")}: no such host`;
        throw new ConnectionFailure("unavailable", words, { cause: thrown });
      }
      if (thrown.facts["errno"] === undefined) {
        throw new ConnectionFailure("unavailable", `error during connect: ${thrown.message}`, { cause: thrown });
      }
      throw new ConnectionFailure("unavailable", cannotConnect(host), { cause: thrown });
    }
  }
}

async function daemonError(response: ClientResponse): Promise<DaemonError> {
  const text = decodeUtf8(await readWhole(response.body, MAX_ERROR_BYTES)).trim();
  const isJson = response.headers.get("content-type") === "application/json";
  return new DaemonError(
    response.status,
    (isJson ? errorMessage(text) : text) || `request returned ${response.status}`,
  );
}

function errorMessage(text: string): string {
  try {
    const value = parseJson(text);
    const message = value !== null && typeof value === "object" && !Array.isArray(value) ? value["message"] : null;
    return typeof message === "string" ? message.trim() : text;
  } catch {
    return text;
  }
}
