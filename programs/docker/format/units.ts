// Sizes and times as Docker writes them for people, and the texts it reads as sizes and times.

import { BadValue } from "../../../base/flags/go.ts";

const DECIMAL = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/** "1.98MB": four significant digits by default, in thousands. */
export function humanSize(bytes: number, digits = 4): string {
  return scaled(bytes, 1000, { names: DECIMAL, digits });
}

/** "23.54GiB", in powers of 1024. */
export function binarySize(bytes: number): string {
  return scaled(bytes, 1024, { names: BINARY, digits: 4 });
}

function scaled(bytes: number, base: number, style: { names: readonly string[]; digits: number }): string {
  let value = bytes;
  let step = 0;
  while (value >= base && step < style.names.length - 1) {
    value /= base;
    step++;
  }
  return `${shortest(value, style.digits)}${style.names[step]}`;
}

/** Go's %.<digits>g. */
export function shortest(value: number, digits: number): string {
  if (value === 0) return "0";
  const exponent = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))));
  if (exponent >= digits || exponent < -4) {
    const [mantissa, power] = value.toExponential(digits - 1).split("e") as [string, string];
    const clean = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
    return `${clean}e${power[0]}${power.slice(1).padStart(2, "0")}`;
  }
  return String(Number(value.toPrecision(digits)));
}

/** "2026-11-21 07:09:47 +0000 UTC" of seconds since 1970. The machine's zone is not known here, so it is UTC. */
export function utcTime(seconds: number): string {
  const iso = new Date(seconds * 1000).toISOString();
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} +0000 UTC`;
}

const POWERS: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4, p: 5 };

/** Reads "512m", "1.5GiB", "64 kb": powers of 1024. */
export function parseMemory(text: string): number {
  const invalid = () => new BadValue(`invalid size: '${text}'`);
  const match = /^(\d+(?:\.\d+)?) ?(?:([kKmMgGtTpP])?(?:[iI])?[bB]?)$/.exec(text);
  if (match === null) {
    const suffix = /^(\d+(?:\.\d+)?) ?(\S+)$/.exec(text);
    throw suffix === null ? invalid() : new BadValue(`invalid suffix: '${suffix[2]!.toLowerCase()}'`);
  }
  const power = match[2] === undefined ? 0 : POWERS[match[2].toLowerCase()]!;
  return Math.trunc(Number(match[1]) * 1024 ** power);
}

/** As parseMemory, and "-1" for no limit. */
export function parseMemoryOrUnlimited(text: string): number {
  return text === "-1" ? -1 : parseMemory(text);
}
