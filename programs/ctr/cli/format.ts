// How values look in ctr's tables and JSON: labels, sizes, ages, times.

import { Failure } from "../../../base/errors.ts";
import { formatJson } from "../../../base/json.ts";
import type { Labels } from "../../../core/values.ts";

/** `a=b,c=d` in the order of keys. */
export function formatLabels(labels: Labels): string {
  return Object.keys(labels)
    .sort()
    .map((key) => `${key}=${labels[key]}`)
    .join(",");
}

/** From `key=value` arguments; a key alone means "true". */
export function parseLabels(args: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const arg of args) {
    const equals = arg.indexOf("=");
    labels[equals < 0 ? arg : arg.slice(0, equals)] = equals < 0 ? "true" : arg.slice(equals + 1);
  }
  return labels;
}

/** What to write and which fields to name, for commands whose empty value clears a label. */
export function labelFields(labels: Labels): string[] {
  return Object.keys(labels).map((key) => `labels.${key}`);
}

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** "2.0 MiB" */
export function binarySize(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < BINARY.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${BINARY[unit]}`;
}

const DECIMAL = ["B", "kB", "MB", "GB", "TB", "PB"];

/** "2.129MB": four significant digits. */
export function decimalSize(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < DECIMAL.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(4))}${DECIMAL[unit]}`;
}

/** RFC 3339 with as many digits of the second as there are, in UTC. */
export function goTime(nanoseconds: bigint): string {
  const second = 1_000_000_000n;
  const whole = new Date(Number(nanoseconds / second) * 1000).toISOString().slice(0, 19);
  const fraction = String(nanoseconds % second)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `${whole}${fraction === "" ? "" : `.${fraction}`}Z`;
}

/** Indented as the original: by four blanks; with HTML's letters escaped. */
export function printedJson(value: unknown, indent = 4): string {
  return `${escapeHtml(formatJson(value, indent))}\n`;
}

/** Go's JSON writes these letters of strings as escapes. */
export function escapeHtml(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Complains about a digest that could not be one, as the original does before it asks containerd. */
export function checkDigest(digest: string): string {
  if (/^sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})$/.test(digest)) return digest;
  if (/^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]+$/.test(digest)) {
    const known = /^sha(256|384|512):/.test(digest);
    throw new Failure("invalid_argument", known ? "invalid checksum digest length" : "unsupported digest algorithm");
  }
  throw new Failure("invalid_argument", "invalid checksum digest format");
}
