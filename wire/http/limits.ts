// Every bound of the HTTP codec, with its unit. A peer that goes beyond one gets an error and loses its connection.

/** Bytes of a request or response head, from the first line to the empty line. */
export const MAX_HEAD_BYTES = 256 * 1024;
/** Header lines in one head, or trailer lines after one body. */
export const MAX_HEADERS = 256;
/** Bytes of a chunk-size line with its extensions, and of one trailer line. */
export const MAX_CHUNK_LINE_BYTES = 4096;
/** Bytes the receive buffer starts with and may grow to while a body is read. */
export const MIN_BUFFER_BYTES = 4096;
export const MAX_BUFFER_BYTES = 64 * 1024;
/** Bytes of an unread request body that are read and dropped to keep a connection alive. */
export const MAX_DRAIN_BYTES = 256 * 1024;
/** Payload up to this many bytes is copied beside its chunk header, so that one write carries both. */
export const MAX_JOINED_CHUNK_BYTES = 64 * 1024;
/** Idle connections a client keeps for reuse. */
export const MAX_IDLE_CONNECTIONS = 2;
