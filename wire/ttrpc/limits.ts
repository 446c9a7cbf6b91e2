// The bounds of ttrpc, each with its unit.

/** The protocol's own limit of one message without its header. Bytes. */
export const MESSAGE_LIMIT = 4 << 20;
/** A length beyond this has a first byte other than zero, which the protocol reserves: whoever sends it speaks
 *  something else, and the connection ends. Between the two limits the message is skipped and refused alone. Bytes. */
export const SKIP_LIMIT = 16 << 20;
/** Calls of one connection that may be unanswered; more are refused with resource_exhausted. */
export const CALLS_LIMIT = 1024;
/** Answers that a peer has not read; above it no further request of that connection is read. Bytes. */
export const UNSENT_LIMIT = 8 << 20;
/** What is read at once while a connection waits, and so its memory then; a longer message gets memory as its bytes
 *  arrive. Bytes. */
export const READ_SIZE = 512;
/** Longest piece by which memory for a message grows. Bytes. */
export const GROW_LIMIT = 256 << 10;
/** Frames of one connection that are taken before the others get their turn. */
export const TURN_LIMIT = 64;
/** Elements of lists and maps in one request: an empty one is two bytes on the wire and a hundred in memory. */
export const ELEMENTS_LIMIT = 16_384;
/** Connections that are taken before the loop gets its turn. */
export const ACCEPT_TURN = 64;

/** Bounds of a server as a whole; a program with less memory or fewer descriptors gives its own. */
export interface ServerLimits {
  /** Connections at a time. Beyond it the process with the most of them loses its first idle one (crowd.ts). */
  connections: number;
  /** Calls under way on all connections; more are refused with resource_exhausted. */
  calls: number;
  /** Bytes of messages that have arrived in part, and of answers that are not read; see budget.ts. */
  partial: number;
  unsent: number;
}
export const SERVER_LIMITS: ServerLimits = {
  connections: 65_536,
  calls: 65_536,
  partial: 256 << 20,
  unsent: 256 << 20,
};
