// The words that every noun of core/ uses: labels, typed values, descriptors, mounts, and the scope of a call.
// Portable: no I/O. The wire's message types stay outside; only serve/, call/ and remote.ts turn one into the other.

import type { Bytes } from "../base/bytes.ts";
import { Failure } from "../base/errors.ts";

export type Labels = Readonly<Record<string, string>>;

/** A value whose type is named by a URL: protobuf's Any, without the `type.googleapis.com/` prefix. */
export interface TypedValue {
  readonly typeUrl: string;
  readonly value: Bytes;
}

/** OCI image-spec: what names a blob. `platform` and `annotations` are absent on most. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Labels;
  readonly platform?: { architecture: string; os: string; variant?: string; "os.version"?: string };
  readonly artifactType?: string;
}

/** A mount as the snapshotter hands it out and the shim carries it out. */
export interface Mount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly options: readonly string[];
}

/** Whose call it is: the namespace it works in, the lease that keeps what it makes, how firm its records must be. */
export interface Scope {
  readonly namespace: string;
  readonly lease: string | null;
  /** False when the caller could not miss the record after a power cut (a container run with --rm). */
  readonly acknowledged: boolean;
}

const LABEL_LIMIT = 4096; // bytes of a key and its value together, as in containerd
const IDENTIFIER = /^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$/;
const IDENTIFIER_LIMIT = 76; // characters
const DIGEST = /^sha256:[0-9a-f]{64}$/;

export function checkLabels(labels: Labels): void {
  for (const [key, value] of Object.entries(labels)) {
    if (key.length + value.length <= LABEL_LIMIT) continue;
    const short = key.length > 64 ? key.slice(0, 64) : key;
    throw new Failure(
      "invalid_argument",
      `label key and value length (${key.length + value.length} bytes) greater than maximum size ` +
        `(${LABEL_LIMIT} bytes), key: ${short}: invalid argument`,
    );
  }
}

export function checkIdentifier(identifier: string): void {
  if (identifier === "") throw new Failure("invalid_argument", "identifier must not be empty: invalid argument");
  if (identifier.length > IDENTIFIER_LIMIT) {
    throw new Failure(
      "invalid_argument",
      `identifier "${identifier}" greater than maximum length (${IDENTIFIER_LIMIT} characters): invalid argument`,
    );
  }
  if (IDENTIFIER.test(identifier)) return;
  throw new Failure("invalid_argument", `identifier "${identifier}" must match ${IDENTIFIER.source}: invalid argument`);
}

export function checkDigest(digest: string): void {
  if (!DIGEST.test(digest)) {
    throw new Failure("invalid_argument", `invalid digest "${digest}": expected sha256 and 64 hexadecimal digits`);
  }
}

/** Labels after an update whose field mask is `fields`: null or "labels" replaces all, "labels.<key>" one. */
export function mergeLabels(current: Labels, next: Labels, fields: readonly string[] | null): Labels {
  if (fields === null || fields.length === 0 || fields.includes("labels")) return withoutEmpty(next);
  const merged: Record<string, string> = { ...current };
  for (const field of fields) {
    if (!field.startsWith("labels.")) continue;
    const key = field.slice("labels.".length);
    const value = next[key];
    if (value === undefined || value === "") delete merged[key];
    else merged[key] = value;
  }
  return merged;
}

export function withoutEmpty(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== ""));
}
