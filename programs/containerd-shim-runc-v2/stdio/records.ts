// What a log's format has to say: how the records of a stream are made (door.records does the copying), and where in a
// file whole records end. Two bodies: json-records.ts and local-records.ts.

export type StreamName = "stdout" | "stderr";

/** A part of a line that is longer than LOG_PART, or of one that ended without its newline. */
export interface Part {
  /** The same for all parts of a line. */
  id: string;
  /** From 1. */
  ordinal: number;
  /** It ends with the line's newline. */
  last: boolean;
}

/** The moment of a record and, for one that is not a whole line, which part it is. */
export interface Moment {
  /** Nanoseconds since 1970; all parts of a line bear the first one's. */
  time: bigint;
  part: Part | null;
}

export interface Around {
  prefix: Uint8Array;
  suffix: Uint8Array;
}

export interface RecordFormat {
  /** Of door.records. */
  readonly flags: number;
  /** Whether a part may end inside a character. */
  readonly exact: boolean;
  /** What stands before and after the line of each record. */
  around(stream: StreamName, moment: Moment): Around;
  /** Of bytes that are records, of which the first `length` were written: how many are whole, how long these are. */
  whole(bytes: Uint8Array, length: number): { records: number; length: number };
  /** Of bytes that are records: where the one after so many begins. */
  past(bytes: Uint8Array, records: number): number;
  /** The length of a file up to its last whole record: what a crash tore is behind it. */
  intact(file: number, size: number): number;
}
