// The systemd unit a container lives in: its name and place, by linux.cgroupsPath, which then has the form
// `slice:prefix:name`, and the properties that annotations give it. Decided in plan.ts before anything is made.
//
//     system.slice:docker:4f2a   ─▶   docker-4f2a.scope in system.slice   ─▶   /system.slice/docker-4f2a.scope
//     a-b.slice:x:y              ─▶   x-y.scope in a-b.slice              ─▶   /a.slice/a-b.slice/x-y.scope
//     (none)                     ─▶   runc-ID.scope in system.slice, or user.slice of the user's own systemd

import { Failure, messageOf } from "../../../base/errors.ts";
import { parseVariant } from "../../../wire/dbus/text.ts";
import type { Variant } from "../../../wire/dbus/value.ts";
import { findHierarchies, type Hierarchy } from "../hierarchies.ts";
import type { Cgroups } from "../manager.ts";

export type Property = readonly [name: string, value: Variant];

export interface Unit {
  /** With ".scope"; or ".slice" when the name in cgroupsPath ends so. */
  name: string;
  /** The slice it was asked to be in; "" for the default. */
  parent: string;
  prefix: string;
  /** The name in cgroupsPath, or the container's id. */
  base: string;
  /** Of the user's own systemd and not the machine's. */
  user: boolean;
  /** From annotations. */
  properties: Property[];
}

const SCOPE_PREFIX = "runc";
const ANNOTATION = "org.systemd.property.";
const SHORTEST_PROPERTY = 3;
const MICROSECONDS = 1_000_000;

export interface UnitOptions {
  id: string;
  cgroupsPath: string;
  annotations: Readonly<Record<string, string>>;
  user: boolean;
}

export function planUnit({ id, cgroupsPath, annotations, user }: UnitOptions): Unit {
  const properties = annotatedProperties(annotations);
  const parts = cgroupsPath === "" ? ["", SCOPE_PREFIX, id] : cgroupsPath.split(":");
  if (parts.length !== 3) {
    throw new Failure(
      "invalid_argument",
      'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, ' +
        `got ${JSON.stringify(cgroupsPath)} instead`,
    );
  }
  const [parent, prefix, base] = parts as [string, string, string];
  const name = base.endsWith(".slice") ? base : `${prefix}-${base}.scope`;
  // It becomes a directory's name.
  if (name.includes("/")) throw new Failure("invalid_argument", `invalid unit name: ${name}`);
  if (parent !== "") expandSlice(parent);
  return { name, parent, prefix, base, user, properties };
}

export function sliceOf(unit: Unit): string {
  if (unit.parent !== "") return unit.parent;
  return unit.user ? "user.slice" : "system.slice";
}

/** The directory of a slice below the hierarchy's root: each dash is one more level. "" for the root slice. */
export function expandSlice(slice: string): string {
  const invalid = () => new Failure("invalid_argument", `invalid slice name: ${slice}`);
  if (!slice.endsWith(".slice") || slice.includes("/")) throw invalid();
  const name = slice.slice(0, -".slice".length);
  if (name === "-") return "";
  let path = "";
  let prefix = "";
  for (const part of name.split("-")) {
    if (part === "") throw invalid();
    path += `/${prefix}${part}.slice`;
    prefix += `${part}-`;
  }
  return path;
}

/** `manager`: the cgroup that systemd itself counts from; "" for the machine's. */
export function placeUnit(unit: Unit, manager: string): { cgroups: Cgroups; hierarchies: Hierarchy[] } {
  const hierarchies = findHierarchies();
  const unified = hierarchies.length === 1 && hierarchies[0]!.name === "";
  if (unit.user && !unified) {
    throw new Failure("failed_precondition", "cannot use rootless systemd cgroups manager on cgroup v1");
  }
  const below = `${manager}${expandSlice(sliceOf(unit))}/${unit.name}`;
  const paths: Record<string, string> = {};
  for (const { name, mountpoint } of hierarchies) {
    for (const controller of name.split(",")) paths[controller] = `${mountpoint}${below}`;
  }
  return { cgroups: { paths, unified }, hierarchies };
}

function annotatedProperties(annotations: UnitOptions["annotations"]): Property[] {
  return Object.entries(annotations)
    .filter(([key]) => key.startsWith(ANNOTATION))
    .map(([key, text]) => {
      const name = key.slice(ANNOTATION.length);
      const wrong = name.length < SHORTEST_PROPERTY ? "too short" : "contains non-alphabetic character";
      if (!/^[A-Za-z]{3,}$/.test(name)) {
        throw new Failure("invalid_argument", `annotation ${key} name incorrect: ${wrong}`);
      }
      try {
        return inMicroseconds(name, parseVariant(text));
      } catch (thrown) {
        throw new Failure("invalid_argument", `annotation ${key}=${text} value parse error: ${messageOf(thrown)}`);
      }
    });
}

/** The bus knows spans of time as microseconds alone; what systemd's files call TimeoutStopSec is TimeoutStopUSec. */
function inMicroseconds(name: string, value: Variant): Property {
  const [, stem] = /^(.*[a-z])Sec$/.exec(name) ?? [];
  if (stem === undefined) return [name, value];
  if (!"ynqiuxtd".includes(value.signature)) throw new Error("not a number");
  const micro =
    typeof value.value === "bigint"
      ? value.value * BigInt(MICROSECONDS)
      : BigInt(Math.trunc((value.value as number) * MICROSECONDS));
  return [`${stem}USec`, { signature: "t", value: BigInt.asUintN(64, micro) }];
}
