// What every command gets: the runtime, the configuration, the engine it talks to, and where to print.

import { type ErrorCode, Failure } from "../../base/errors.ts";
import type { Runtime } from "../../base/runtime.ts";
import { Engine } from "./call/engine/engine.ts";
import type { ConfigFile } from "./config/config.ts";
import { dialerOf, type Endpoint, type TlsDialer } from "./config/endpoint.ts";
import { Output } from "./output.ts";

export class Cli {
  readonly runtime: Runtime;
  readonly config: ConfigFile;
  readonly out: Output;
  readonly err: Output;
  /** "docker run", as the user called it. */
  path = "docker";
  readonly contextName: string;
  readonly debug: boolean;
  readonly configDirectory: string;
  readonly endpoint: () => Endpoint;
  readonly tlsDialer: TlsDialer | null;
  #engine: Engine | null = null;

  constructor(runtime: Runtime, config: ConfigFile, setup: CliSetup) {
    this.runtime = runtime;
    this.config = config;
    this.out = setup.out;
    this.err = setup.err;
    this.contextName = setup.contextName;
    this.debug = setup.debug;
    this.configDirectory = setup.configDirectory;
    this.endpoint = setup.endpoint;
    this.tlsDialer = setup.tlsDialer;
  }

  /** Connects at the first request, not before. */
  get engine(): Engine {
    if (this.#engine === null) {
      const endpoint = this.endpoint();
      this.#engine = new Engine(dialerOf(this.runtime, endpoint, this.tlsDialer), {
        shownHost: endpoint.host,
        httpHost: endpoint.kind === "tcp" ? `${endpoint.hostname}:${endpoint.port}` : "api.moby.localhost",
        pathPrefix: endpoint.kind === "tcp" ? endpoint.path : "",
        fixedVersion: this.runtime.env["DOCKER_API_VERSION"] ?? "",
        headers: Object.entries(this.config.HttpHeaders ?? {}),
      });
    }
    return this.#engine;
  }

  /** The key sequence that detaches: the flag, else the configured one, else the default "". */
  detachKeys(given: string): string {
    return given !== "" ? given : (this.config.detachKeys ?? "");
  }

  /** Columns to wrap help and cut progress lines to. */
  get width(): number {
    return this.runtime.terminal.size(1)?.columns || 80;
  }
}

export interface CliSetup {
  out: Output;
  err: Output;
  contextName: string;
  debug: boolean;
  configDirectory: string;
  endpoint: () => Endpoint;
  tlsDialer: TlsDialer | null;
}

export function openOutputs(runtime: Runtime): { out: Output; err: Output } {
  return { out: new Output(() => runtime.stdout), err: new Output(() => runtime.stderr) };
}

/** The sentence of a failed file access in Go's words: "open /x: no such file or directory". */
export function fileSentence(thrown: unknown, call: string, path: string): string {
  const codes: Partial<Record<ErrorCode, string>> = {
    not_found: "no such file or directory",
    permission_denied: "permission denied",
  };
  const reason = thrown instanceof Failure ? (codes[thrown.code] ?? afterLastColon(thrown.message)) : String(thrown);
  return `${call} ${path}: ${reason}`;
}

function afterLastColon(message: string): string {
  return message.includes(": ") ? message.slice(message.lastIndexOf(": ") + 2) : message;
}
