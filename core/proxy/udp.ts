// Forwarding of UDP datagrams to one backend: a connected socket per client, so that answers find their way back,
// closed after 90 s of silence. Answers leave from the very address the client wrote to (IP_PKTINFO), which on a host
// with several addresses is the only one it accepts.

import type { Bytes } from "../../base/bytes.ts";
import { monotonicMilliseconds } from "../../linux/clock.ts";
import { DatagramBuffer, enablePacketInfo, receiveDatagram, sendDatagram } from "../../linux/datagram.ts";
import { EPOLLIN } from "../../linux/epoll.ts";
import type { Fd } from "../../linux/fd.ts";
import { type Endpoint, formatEndpoint, socketAddress } from "../../linux/inet.ts";
import * as net from "../../linux/socket.ts";
import type { Loop } from "../../runtime/quickjs/loop.ts";
import { DATAGRAM_LIMIT, DATAGRAMS_PER_TURN, UDP_CLIENTS, UDP_IDLE } from "./limits.ts";

interface Client {
  socket: Fd;
  /** Where its datagrams came from, and the control data that names the address they came to. */
  address: Bytes;
  control: Bytes;
  lastSeen: number;
}

export class UdpForwarder implements Disposable {
  readonly #loop: Loop;
  readonly #socket: Fd;
  readonly #backend: Endpoint;
  /** By the client's address; in the order of last use, oldest first. */
  readonly #clients = new Map<string, Client>();
  readonly #buffer = new DatagramBuffer(DATAGRAM_LIMIT);
  #sweeping: Disposable | null = null;

  /** Owns the bound, non-blocking socket. */
  constructor(loop: Loop, port: { socket: Fd; backend: Endpoint }) {
    this.#loop = loop;
    this.#socket = port.socket;
    this.#backend = port.backend;
    enablePacketInfo(port.socket.number);
    loop.watch(port.socket.number, EPOLLIN, () => this.#fromClients());
  }

  #fromClients(): void {
    for (let count = 0; count < DATAGRAMS_PER_TURN; count++) {
      const datagram = receiveDatagram(this.#socket.number, this.#buffer);
      if (datagram === null) return;
      const client = this.#clientOf(datagram.address, datagram.control);
      // A datagram that cannot be delivered is lost, as datagrams are; a refusal is an earlier one's ICMP answer.
      if (client !== null) sendDatagram(client.socket.number, datagram.data);
    }
  }

  #clientOf(address: Bytes, control: Bytes): Client | null {
    const key = String.fromCharCode(...address);
    let client = this.#clients.get(key) ?? null;
    if (client === null) {
      const socket = this.#connect();
      if (socket === null) return null;
      client = { socket, address, control, lastSeen: 0 };
      this.#watch(client);
      if (this.#clients.size >= UDP_CLIENTS) this.#drop(this.#clients.keys().next().value!);
    }
    client.control = control;
    this.#touch(key, client);
    this.#sweeping ??= this.#loop.timer(UDP_IDLE, () => this.#sweep());
    return client;
  }

  #connect(): Fd | null {
    let socket: Fd | null = null;
    try {
      const family = this.#backend.address.length === 4 ? net.AF_INET : net.AF_INET6;
      socket = net.socket(family, net.SOCK_DGRAM | net.SOCK_NONBLOCK);
      net.connect(socket.number, socketAddress(this.#backend), formatEndpoint(this.#backend));
      return socket;
    } catch {
      socket?.close();
      return null;
    }
  }

  #watch(client: Client): void {
    this.#loop.watch(client.socket.number, EPOLLIN, () => {
      for (let count = 0; count < DATAGRAMS_PER_TURN; count++) {
        const datagram = receiveDatagram(client.socket.number, this.#buffer);
        if (datagram === null) return;
        sendDatagram(this.#socket.number, datagram.data, client);
        this.#touch(String.fromCharCode(...client.address), client);
      }
    });
  }

  #touch(key: string, client: Client): void {
    client.lastSeen = monotonicMilliseconds();
    this.#clients.delete(key);
    this.#clients.set(key, client);
  }

  #sweep(): void {
    const now = monotonicMilliseconds();
    for (const [key, client] of this.#clients) {
      if (client.lastSeen + UDP_IDLE > now) break;
      this.#drop(key);
    }
    const oldest = this.#clients.values().next().value;
    this.#sweeping =
      oldest === undefined ? null : this.#loop.timer(oldest.lastSeen + UDP_IDLE - now, () => this.#sweep());
  }

  #drop(key: string): void {
    const client = this.#clients.get(key);
    if (client === undefined) return;
    this.#clients.delete(key);
    this.#loop.unwatch(client.socket.number);
    client.socket.close();
  }

  [Symbol.dispose](): void {
    this.#sweeping?.[Symbol.dispose]();
    this.#loop.unwatch(this.#socket.number);
    this.#socket.close();
    for (const key of [...this.#clients.keys()]) this.#drop(key);
  }
}
