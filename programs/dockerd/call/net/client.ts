// docker-net over ttrpc: starts it when nobody listens, connects again when it died. It outlives dockerd, so that ports
// go on being served; a dockerd that comes back finds it through its socket.

import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { dirname, join } from "node:path";
import { Net } from "../../../../api/net/gen/net.ts";
import { Failure, messageOf } from "../../../../base/errors.ts";
import { nodeClock } from "../../../../runtime/node/runtime.ts";
import { connectUnix } from "../../../../runtime/node/socket.ts";
import { TtrpcClient } from "../../../../wire/ttrpc/client.ts";
import type { Log } from "../../engine.ts";
import type { NetHelper } from "../../networks/networks.ts";
import { findProgram } from "../../system/programs.ts";

/** Milliseconds a fresh docker-net has to listen, and how often it is tried. */
const START_TIMEOUT_MS = 10_000;
const START_POLL_MS = 10;
/** Milliseconds until a docker-net that died is started again, doubled at each failure up to the second. */
const REVIVE_AFTER_MS = 50;
const REVIVE_LIMIT_MS = 10_000;
/** Milliseconds of one call. */
const CALL_TIMEOUT_MS = 30_000;

export class NetClient {
  readonly #socket: string;
  readonly #execRoot: string;
  readonly #log: Log;
  readonly #fresh: () => void;
  #connection: Promise<TtrpcClient> | null = null;
  #ended = false;

  /** `fresh` is told when a new process was started: what the old one knew is re-read from the kernel by it. */
  constructor(parts: { execRoot: string; log: Log; fresh: () => void }) {
    this.#execRoot = parts.execRoot;
    this.#socket = join(parts.execRoot, "docker-net.sock");
    this.#log = parts.log;
    this.#fresh = parts.fresh;
  }

  async helper(): Promise<NetHelper> {
    const client = (await this.#connect()).of(Net);
    const options = { timeout: CALL_TIMEOUT_MS };
    const log = this.#log;
    return {
      async ensureBridge({ name, subnet, gateway }) {
        const answer = await client.ensureBridge({ name, subnet, gateway }, options);
        for (const sentence of answer.warnings) log.warn(sentence);
        return { name: answer.name, subnet: answer.subnet, gateway: answer.gateway, mtu: answer.mtu };
      },
      async attach(request) {
        const answer = await client.attach(request, options);
        const { netnsPath, address, prefixLength, gateway, mac, ports } = answer;
        return { netnsPath, address, prefixLength, gateway, mac, ports: ports.map((port) => ({ ...port })) };
      },
      async detach(containerId) {
        await client.detach({ containerId }, options);
      },
      async list() {
        return (await client.list({}, options)).endpoints.map((endpoint) => endpoint.containerId);
      },
    };
  }

  /** Ends docker-net and everything of it. Nothing when none runs. */
  async shutdown(): Promise<void> {
    this.#ended = true;
    const stream = await connectUnix(this.#socket).catch(() => null);
    if (stream === null) return;
    using client = new TtrpcClient(stream, { clock: nodeClock });
    await client.of(Net).shutdown({}, { timeout: CALL_TIMEOUT_MS });
  }

  close(): void {
    this.#ended = true;
    void this.#connection?.then((client) => client.close()).catch(() => {});
  }

  #connect(): Promise<TtrpcClient> {
    this.#connection ??= this.#open();
    this.#connection.catch(() => {
      this.#connection = null;
    });
    return this.#connection;
  }

  async #open(): Promise<TtrpcClient> {
    const stream = (await connectUnix(this.#socket).catch(() => null)) ?? (await this.#launch());
    const client = new TtrpcClient(stream, { clock: nodeClock });
    void client.closed.then(() => {
      this.#connection = null;
      void this.#revive();
    });
    return client;
  }

  /** A published port that docker-net carries itself pauses while it is dead, so it is not left until the next call. */
  async #revive(): Promise<void> {
    for (let after = REVIVE_AFTER_MS; !this.#ended; after = Math.min(after * 2, REVIVE_LIMIT_MS)) {
      await nodeClock.sleep(after);
      if (this.#ended || this.#connection !== null) return;
      try {
        await this.#connect();
        return;
      } catch (thrown) {
        this.#log.error(messageOf(thrown));
      }
    }
  }

  async #launch() {
    const program = findProgram("docker-net");
    if (program === null) {
      throw new Failure("failed_precondition", "the program docker-net, which makes the bridge network, was not found");
    }
    this.#log.info(`starting ${program}`);
    const log = openSync(join(this.#execRoot, "docker-net.log"), "a", 0o600);
    const child = spawn(program, ["--socket", this.#socket, "--state", join(dirname(this.#socket), "net")], {
      detached: true,
      stdio: ["ignore", log, log],
      cwd: "/",
    });
    closeSync(log);
    child.unref();
    let failure: string | null = null;
    child.once("error", (cause) => {
      failure = messageOf(cause);
    });
    child.once("exit", (code) => {
      failure = `it ended with status ${code}`;
    });
    for (let waited = 0; waited < START_TIMEOUT_MS && failure === null; waited += START_POLL_MS) {
      if (existsSync(this.#socket)) {
        const stream = await connectUnix(this.#socket).catch(() => null);
        if (stream !== null) {
          this.#fresh();
          return stream;
        }
      }
      await nodeClock.sleep(START_POLL_MS);
    }
    throw new Failure("unavailable", `docker-net did not start: ${failure ?? "no answer"}`);
  }
}
