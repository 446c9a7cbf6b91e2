// Bounds of the port proxies, with their units.

/** Connections forwarded at a time by one listening socket; more wait in the kernel's queue. Six descriptors each. */
export const CONNECTIONS_PER_PORT = 1024;
/** Bytes of one direction that are copied before splicing begins, and the size of the buffer they go through. */
export const COPIED_FIRST = 64 << 10;
/** Bytes of a splice pipe: with 64 KiB the processor time per byte is three times as much. */
export const PIPE_SIZE = 1 << 20;
/** Reads of one direction before other connections get their turn. */
export const ROUNDS_PER_TURN = 8;
/** Milliseconds until accepting is tried again after it failed for want of descriptors or memory. */
export const ACCEPT_PAUSE = 100;
/** Largest UDP payload over IPv4, bytes. */
export const DATAGRAM_LIMIT = 65_507;
/** Milliseconds without a datagram after which a client's backend socket is closed, as in the original. */
export const UDP_IDLE = 90_000;
/** Clients of one UDP port; the one silent for longest goes when another comes. */
export const UDP_CLIENTS = 1024;
/** Datagrams taken from one socket before others get their turn. */
export const DATAGRAMS_PER_TURN = 64;
