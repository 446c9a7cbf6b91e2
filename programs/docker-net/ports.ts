// Published ports: which are taken, the sockets that hold them on the host, and the proxies behind the sockets.
//
//     reserve ──▶ bound (and listening: connections wait in the kernel's queue) ──serve──▶ proxied ──release──▶ gone
//
// Every port is bound, also where the kernel maps it: a taken port is an error then, as it is for any server, and what
// the kernel does not map (loopback, IPv6) arrives at the socket.

import { Failure } from "../../base/errors.ts";
import { forward } from "../../core/proxy/forwarder.ts";
import type { CopyBuffer } from "../../core/proxy/tcp.ts";
import { EADDRINUSE, errnoOf, errnoSentence, SyscallFailure } from "../../linux/errno.ts";
import { type Fd, readTextIfThere } from "../../linux/fd.ts";
import { bindUdp, type Endpoint, formatEndpoint, listenTcp, parseAddress } from "../../linux/inet.ts";
import type { Loop } from "../../runtime/quickjs/loop.ts";
import type { EndpointRecord, PortRecord } from "./records.ts";

export interface PortWish {
  protocol: string;
  containerPort: number;
  hostIp: string;
  hostPort: number;
  hostPortEnd: number;
}

interface Held {
  record: PortRecord;
  address: Endpoint["address"];
  /** Null once a proxy owns it. */
  socket: Fd | null;
  proxy: Disposable | null;
}

const DEFAULT_EPHEMERAL = [32768, 60999] as const;
/** Ports of one container. */
const PORTS_LIMIT = 20_000;

export class Ports {
  readonly #loop: Loop;
  readonly #buffer: CopyBuffer;
  readonly #held = new Map<string, Held[]>();
  /** The same by "tcp/8080", for finding who holds a port among ten thousand. */
  readonly #byNumber = new Map<string, Held[]>();
  /** The last ephemeral port given away. */
  #cursor = 0;

  constructor(loop: Loop, buffer: CopyBuffer) {
    this.#loop = loop;
    this.#buffer = buffer;
  }

  /** Binds all of them or none. The ports are then held for the container until `release`. */
  reserve(containerId: string, wishes: readonly PortWish[]): PortRecord[] {
    const mine: Held[] = [];
    this.#held.set(containerId, mine);
    try {
      for (const wish of wishes) this.#reserveOne(wish, mine);
      if (mine.length > PORTS_LIMIT) throw new Failure("invalid_argument", `more than ${PORTS_LIMIT} published ports`);
      return mine.map((held) => held.record);
    } catch (thrown) {
      this.release(containerId);
      throw thrown;
    }
  }

  /** After a restart: binds what the record says. What another process took meanwhile is given back as sentences. */
  rebind(endpoint: EndpointRecord): string[] {
    const mine: Held[] = [];
    const lost: string[] = [];
    this.#held.set(endpoint.containerId, mine);
    for (const record of endpoint.ports) {
      const address = parseAddress(record.hostIp)!;
      try {
        this.#hold(mine, { record, address, socket: bindPort(record, address), proxy: null });
      } catch (thrown) {
        this.#hold(mine, { record, address, socket: null, proxy: null });
        lost.push(bindFailure(record, address, thrown).message);
      }
    }
    return lost;
  }

  /** Begins to proxy to the container. */
  serve(containerId: string, address: Endpoint["address"]): void {
    for (const held of this.#held.get(containerId) ?? []) {
      if (held.socket === null) continue;
      const backend = { address, port: held.record.containerPort };
      held.proxy = forward(this.#loop, { protocol: held.record.protocol, socket: held.socket, backend }, this.#buffer);
      held.socket = null;
    }
  }

  release(containerId: string): void {
    for (const held of this.#held.get(containerId) ?? []) this.#letGo(held);
    this.#held.delete(containerId);
  }

  #reserveOne(wish: PortWish, mine: Held[]): void {
    const protocol = protocolOf(wish);
    const hosts = wish.hostIp === "" ? ["0.0.0.0", ...(hostHasInet6() ? ["::"] : [])] : [wish.hostIp];
    let failure: Failure | null = null;
    for (const hostPort of this.#candidates(wish)) {
      const bound: Held[] = [];
      try {
        for (const hostIp of hosts) {
          const record = { protocol, containerPort: wish.containerPort, hostIp, hostPort };
          bound.push(this.#bind(record));
        }
        for (const held of bound) this.#hold(mine, held);
        if (wish.hostPort === 0) this.#cursor = hostPort;
        return;
      } catch (thrown) {
        for (const held of bound) held.socket?.close();
        // Only a taken port is a reason to try the next one of a range.
        if (!(thrown instanceof Failure) || thrown.facts["taken"] !== true) throw thrown;
        failure = thrown;
      }
    }
    const single = wish.hostPort !== 0 && Math.max(wish.hostPort, wish.hostPortEnd) === wish.hostPort;
    if (single && failure !== null) throw failure;
    throw new Failure("resource_exhausted", "all ports are allocated");
  }

  #bind(record: PortRecord): Held {
    const address = parseAddress(record.hostIp);
    if (address === null) throw new Failure("invalid_argument", `invalid IP address in port: ${record.hostIp}`);
    if (this.#isHeld(record, address)) {
      const at = formatEndpoint({ address, port: record.hostPort });
      throw new Failure("already_exists", `Bind for ${at} failed: port is already allocated`, {
        facts: { taken: true },
      });
    }
    try {
      return { record, address, socket: bindPort(record, address), proxy: null };
    } catch (thrown) {
      throw bindFailure(record, address, thrown);
    }
  }

  /** By a container of this engine, on the same address or on every address of its family. */
  #isHeld(wanted: PortRecord, address: Uint8Array): boolean {
    const wild = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);
    return (this.#byNumber.get(numberOf(wanted)) ?? []).some((held) => {
      if (held.address.length !== address.length) return false;
      return wild(held.address) || wild(address) || held.address.every((byte, at) => byte === address[at]);
    });
  }

  #hold(mine: Held[], held: Held): void {
    mine.push(held);
    const key = numberOf(held.record);
    this.#byNumber.set(key, [...(this.#byNumber.get(key) ?? []), held]);
  }

  #letGo(held: Held): void {
    held.proxy?.[Symbol.dispose]();
    held.socket?.close();
    const key = numberOf(held.record);
    const others = (this.#byNumber.get(key) ?? []).filter((other) => other !== held);
    if (others.length > 0) this.#byNumber.set(key, others);
    else this.#byNumber.delete(key);
  }

  *#candidates(wish: PortWish): Generator<number> {
    if (wish.hostPort !== 0) {
      for (let port = wish.hostPort; port <= Math.max(wish.hostPort, wish.hostPortEnd); port++) yield port;
      return;
    }
    const [first, last] = ephemeralRange();
    const count = last - first + 1;
    const start = this.#cursor < first || this.#cursor >= last ? first : this.#cursor + 1;
    for (let step = 0; step < count; step++) yield first + ((start - first + step) % count);
  }
}

function numberOf(record: PortRecord): string {
  return `${record.protocol}/${record.hostPort}`;
}

function protocolOf(wish: PortWish): "tcp" | "udp" {
  const protocol = wish.protocol === "" ? "tcp" : wish.protocol;
  if (protocol === "sctp") {
    throw new Failure(
      "unimplemented",
      "publishing sctp ports is not supported: publish tcp or udp, or use --network host",
    );
  }
  if (protocol !== "tcp" && protocol !== "udp") throw new Failure("invalid_argument", `invalid protocol: ${protocol}`);
  const valid = (port: number) => Number.isInteger(port) && port >= 0 && port <= 65535;
  if (!valid(wish.containerPort) || wish.containerPort === 0) {
    throw new Failure("invalid_argument", `invalid container port ${wish.containerPort}`);
  }
  const range = wish.hostPortEnd === 0 || wish.hostPortEnd >= wish.hostPort;
  if (!valid(wish.hostPort) || !valid(wish.hostPortEnd) || !range) {
    throw new Failure("invalid_argument", `invalid host port ${wish.hostPort}-${wish.hostPortEnd}`);
  }
  return protocol;
}

function bindPort(record: PortRecord, address: Endpoint["address"]): Fd {
  const at = { address, port: record.hostPort };
  return record.protocol === "tcp" ? listenTcp(at) : bindUdp(at);
}

function bindFailure(record: PortRecord, address: Endpoint["address"], thrown: unknown): Failure {
  if (!(thrown instanceof SyscallFailure)) throw thrown;
  const at = formatEndpoint({ address, port: record.hostPort });
  const family = address.length === 4 ? "4" : "6";
  const why = `listen ${record.protocol}${family} ${at}: bind: ${errnoSentence(thrown.errno)}`;
  const text = `failed to bind port ${at}/${record.protocol}: Error starting userland proxy: ${why}`;
  const taken = errnoOf(thrown) === EADDRINUSE;
  return new Failure("failed_precondition", text, { cause: thrown, facts: { taken } });
}

function ephemeralRange(): readonly [number, number] {
  const text = readTextIfThere("/proc/sys/net/ipv4/ip_local_port_range") ?? "";
  const match = /^(\d+)\s+(\d+)/.exec(text);
  return match === null ? DEFAULT_EPHEMERAL : [Number(match[1]), Number(match[2])];
}

/** Whether any IPv6 address exists here; else `::` cannot be bound. */
export function hostHasInet6(): boolean {
  return (readTextIfThere("/proc/net/if_inet6") ?? "") !== "";
}
