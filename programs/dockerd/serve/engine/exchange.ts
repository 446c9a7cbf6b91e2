// One request of the Engine API with its answer: decoded path parameters and query, JSON in and out, progress lines,
// the raw connection. What every route is called with.

import type { ProgressMessage } from "../../../../api/engine/progress.ts";
import { compareApiVersions as compareVersions } from "../../../../api/engine/version.ts";
import { decodeUtf8, encodeUtf8 } from "../../../../base/bytes.ts";
import { Failure } from "../../../../base/errors.ts";
import type { ByteStream } from "../../../../base/runtime.ts";
import { readWhole } from "../../../../wire/http/body.ts";
import type { HeaderLine } from "../../../../wire/http/headers.ts";
import { parseQuery } from "../../../../wire/http/query.ts";
import type { Responder } from "../../../../wire/http/responder.ts";
import type { ServerRequest } from "../../../../wire/http/server.ts";
import type { BodyWriter } from "../../../../wire/http/writer.ts";

/** Bytes of a JSON request body. */
const MAX_JSON_BYTES = 4 * 1024 * 1024;

export class Exchange {
  readonly request: ServerRequest;
  readonly responder: Responder;
  /** The API version of the path, or the newest when there was none. */
  readonly version: string;
  readonly params: Readonly<Record<string, string>>;
  readonly #headers: readonly HeaderLine[];
  readonly #query: Map<string, string[]>;

  constructor(parts: {
    request: ServerRequest;
    responder: Responder;
    version: string;
    params: Record<string, string>;
    headers: readonly HeaderLine[];
  }) {
    this.request = parts.request;
    this.responder = parts.responder;
    this.version = parts.version;
    this.params = parts.params;
    this.#headers = parts.headers;
    const query = parseQuery(parts.request.query);
    if (query === null) throw new Failure("invalid_argument", "invalid query: broken percent-encoding");
    this.#query = query;
  }

  /** Whether the client speaks this version or a newer one. */
  since(version: string): boolean {
    return compareVersions(this.version, version) >= 0;
  }

  param(name: string): string {
    return this.params[name] ?? "";
  }

  text(name: string): string {
    return this.#query.get(name)?.[0] ?? "";
  }

  texts(name: string): string[] {
    return this.#query.get(name) ?? [];
  }

  has(name: string): boolean {
    return this.#query.has(name);
  }

  /** Docker's notion: empty, 0, no, false and none are false, all else is true. */
  flag(name: string): boolean {
    return !["", "0", "no", "false", "none"].includes(this.text(name).trim().toLowerCase());
  }

  /** Null when absent; 400 when it is no integer. */
  integer(name: string): number | null {
    const text = this.text(name);
    if (text === "") return null;
    if (!/^[+-]?\d{1,15}$/.test(text)) {
      throw new Failure("invalid_argument", `strconv.Atoi: parsing "${text}": invalid syntax`);
    }
    return Number(text);
  }

  header(name: string): string | null {
    return this.request.headers.get(name);
  }

  /** The request's JSON object; {} for an empty body when that is allowed. */
  async body<T extends object>(options: { optional?: boolean } = {}): Promise<T> {
    const text = decodeUtf8(await readWhole(this.request.body, MAX_JSON_BYTES)).trim();
    if (text === "") {
      if (options.optional === true) return {} as T;
      throw new Failure("invalid_argument", "invalid JSON: got EOF while reading request body");
    }
    const type = this.header("content-type") ?? "";
    if (!/^application\/json\s*(;|$)/i.test(type)) {
      const said = type === "" ? "" : ` (got '${type}')`;
      throw new Failure("invalid_argument", `unsupported Content-Type header: expected 'application/json'${said}`);
    }
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new Failure("invalid_argument", `invalid JSON: ${(cause as Error).message}`, { cause });
    }
    if (value === null && options.optional === true) return {} as T;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new Failure("invalid_argument", "invalid JSON: expected an object");
    }
    return value as T;
  }

  json(status: number, value: unknown): Promise<void> {
    const text = encodeUtf8(`${JSON.stringify(value)}\n`);
    return this.responder.send(status, this.#with([["Content-Type", "application/json"]]), text);
  }

  empty(status: number, headers: readonly HeaderLine[] = []): Promise<void> {
    return this.responder.send(status, this.#with(headers), null);
  }

  plain(status: number, text: string, headers: readonly HeaderLine[] = []): Promise<void> {
    const lines: HeaderLine[] = [["Content-Type", "text/plain; charset=utf-8"], ...headers];
    return this.responder.send(status, this.#with(lines), encodeUtf8(text));
  }

  /** Sends the head at once; the body follows. */
  open(status: number, type: string, headers: readonly HeaderLine[] = []): Promise<BodyWriter> {
    return this.responder.open(status, this.#with([["Content-Type", type], ...headers]));
  }

  /** The raw connection, for attach and exec. */
  hijack(type: string): Promise<ByteStream> {
    return this.responder.hijack([["Content-Type", type]]);
  }

  /** A stream of JSON objects, one per line. Its head leaves with the first: before it an error is a status. */
  progress(): ProgressStream {
    return new ProgressStream(() => this.open(200, "application/json"));
  }

  #with(headers: readonly HeaderLine[]): HeaderLine[] {
    return [...this.#headers, ...headers];
  }
}

export class ProgressStream {
  readonly #open: () => Promise<BodyWriter>;
  #writer: Promise<BodyWriter> | null = null;

  constructor(open: () => Promise<BodyWriter>) {
    this.#open = open;
  }

  get begun(): boolean {
    return this.#writer !== null;
  }

  async send(message: ProgressMessage): Promise<void> {
    this.#writer ??= this.#open();
    await (await this.#writer).write(encodeUtf8(`${JSON.stringify(message)}\r\n`));
  }

  async end(): Promise<void> {
    this.#writer ??= this.#open();
    await (await this.#writer).end();
  }
}
