// Wire values that several nouns share, to and from the words of values.ts: times, descriptors, mounts, typed values.
// Used by the nouns' remote.ts and by containerd's serve/, which are the only ones to touch message types.

import type * as types from "../api/containerd/gen/types.ts";
import type { Any } from "../api/wellknown/gen/any.ts";
import type { FieldMask } from "../api/wellknown/gen/field_mask.ts";
import type { Timestamp } from "../api/wellknown/gen/time.ts";
import { Failure } from "../base/errors.ts";
import type { Descriptor, Mount, TypedValue } from "./values.ts";

export function timeToMessage(milliseconds: number): Timestamp {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round(milliseconds - seconds * 1000) * 1_000_000 };
}

export function timeFromMessage(time: Timestamp | null): number {
  return time === null ? 0 : Number(time.seconds) * 1000 + Math.floor(time.nanos / 1_000_000);
}

export function nanosecondsToMessage(nanoseconds: bigint): Timestamp {
  return { seconds: nanoseconds / 1_000_000_000n, nanos: Number(nanoseconds % 1_000_000_000n) };
}

export function nanosecondsFromMessage(time: Timestamp | null): bigint {
  return time === null ? 0n : time.seconds * 1_000_000_000n + BigInt(time.nanos);
}

export function descriptorToMessage(descriptor: Descriptor): types.Descriptor {
  return {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: BigInt(descriptor.size),
    annotations: { ...descriptor.annotations },
  };
}

export function descriptorFromMessage(message: types.Descriptor | null): Descriptor {
  if (message === null) throw missing("descriptor");
  const { mediaType, digest, annotations } = message;
  const plain = { mediaType, digest, size: Number(message.size) };
  return Object.keys(annotations).length === 0 ? plain : { ...plain, annotations };
}

export function mountToMessage(mount: Mount): types.Mount {
  return { ...mount, options: [...mount.options] };
}

export function typedToMessage(value: TypedValue | null): Any | null {
  return value === null ? null : { typeUrl: value.typeUrl, value: value.value };
}

/** Bytes of a message may share their frame's memory: kept ones are copied. */
export function typedFromMessage(value: Any | null): TypedValue | null {
  return value === null ? null : { typeUrl: value.typeUrl, value: Uint8Array.from(value.value) };
}

/** Null for no mask, which means everything. */
export function fieldsFromMessage(mask: FieldMask | null): string[] | null {
  return mask === null || mask.paths.length === 0 ? null : mask.paths;
}

export function maskToMessage(fields: readonly string[] | null): FieldMask | null {
  return fields === null ? null : { paths: [...fields] };
}

/** A field that the protocol allows to be absent and this call needs. */
export function required<T>(value: T | null, name: string): T {
  if (value === null) throw missing(name);
  return value;
}

function missing(name: string): Failure {
  return new Failure("invalid_argument", `${name} is missing: invalid argument`);
}
