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
/** What is read at once; a longer message gets memory as its bytes arrive. Bytes. */
export const READ_SIZE = 4096;
/** Longest piece by which memory for a message grows. Bytes. */
export const GROW_LIMIT = 256 << 10;
/** Frames of one connection that are taken before the others get their turn. */
export const TURN_LIMIT = 64;
