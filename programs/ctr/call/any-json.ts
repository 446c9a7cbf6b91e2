// Typed values as the JSON the original prints: snake case, what is at its default left out, times as RFC 3339.

import * as images from "../../../api/containerd/gen/image_events.ts";
import * as records from "../../../api/containerd/gen/record_events.ts";
import * as tasks from "../../../api/containerd/gen/task_events.ts";
import { ProcessDetails } from "../../../api/task/gen/runc_options.ts";
import { toBase64 } from "../../../base/bytes.ts";
import { nanosecondsFromMessage } from "../../../core/messages.ts";
import type { TypedValue } from "../../../core/values.ts";
import { goTime } from "../cli/format.ts";

interface Decodable {
  readonly typeName: string;
  decode(bytes: Uint8Array): object;
}

const TYPES = new Map<string, Decodable>();
for (const type of [...Object.values(images), ...Object.values(records), ...Object.values(tasks), ProcessDetails]) {
  TYPES.set(type.typeName, type as Decodable);
}

/** Null when nobody here knows the type. */
export function eventJson(value: TypedValue): Record<string, unknown> | null {
  const type = TYPES.get(value.typeUrl);
  return type === undefined ? null : messageJson(type.decode(value.value));
}

export function messageJson(message: object): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message)) {
    const json = valueJson(value as unknown);
    if (json !== undefined) shown[snakeCase(name)] = json;
  }
  return shown;
}

function valueJson(value: unknown): unknown {
  if (value === null || value === 0 || value === 0n || value === "" || value === false) return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map((one) => valueJson(one) ?? one);
  if (value instanceof Uint8Array) return value.length === 0 ? undefined : toBase64(value);
  if (typeof value !== "object") return value;
  if (Object.keys(value).length === 0) return undefined; // an empty map: a message always has its fields
  if ("seconds" in value && "nanos" in value) return goTime(nanosecondsFromMessage(value as never));
  if ("typeUrl" in value) return typedJson(value as TypedValue);
  const plain = !Object.keys(value).some((key) => /[./]/.test(key));
  const json = plain ? messageJson(value) : { ...value };
  return json;
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** A typed value unopened, as Go prints it. */
export function typedJson(value: TypedValue): Record<string, unknown> {
  return {
    ...(value.typeUrl === "" ? {} : { type_url: value.typeUrl }),
    ...(value.value.length === 0 ? {} : { value: toBase64(value.value) }),
  };
}
