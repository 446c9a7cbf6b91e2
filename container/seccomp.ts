// From linux.seccomp of config.json to what is loaded before the program: the filter, its flags, and who is asked about
// the calls that the filter leaves to a listener.

import { Failure } from "../base/errors.ts";
import { formatJson, type Json } from "../base/json.ts";
import { lookUp } from "../base/lookup.ts";
import { door } from "../linux/door.ts";
import { errnoSentence } from "../linux/errno.ts";
import * as linux from "../linux/seccomp.ts";
import { type Compiled, findFilter, type KeptFilter } from "./filters.ts";
import { compileRules, readSeccomp } from "./spec/seccomp.ts";

/** Where the notification descriptor goes, and the text that goes with it. */
export interface Listener {
  path: string;
  metadata: string;
}

export interface Filter extends KeptFilter {
  /** SECCOMP_FILTER_FLAG_* */
  flags: number;
  /** Null when no rule asks one. */
  listener: Listener | null;
}

const FLAGS: Readonly<Record<string, number>> = {
  // The one thread that is there is the one that the filter is for.
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: linux.SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: linux.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: linux.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};
export const SECCOMP_FLAGS = Object.keys(FLAGS);

/** Null when config.json has no filter: none at all, or one that says nothing. */
export function prepareFilter(root: string, spec: Json): Filter | null {
  if (spec === null) return null;
  const fields = typeof spec === "object" && !Array.isArray(spec) ? spec : {};
  const named = Array.isArray(fields["syscalls"]) ? fields["syscalls"].length : 0;
  if ((fields["defaultAction"] ?? "") === "" && named === 0) return null;
  const flags = flagsOf(fields["flags"] ?? null);
  const kept = findFilter(root, formatJson(spec), () => compile(spec));
  if (!kept.listens) return { ...kept, flags, listener: null };
  const listener = { path: fields["listenerPath"], metadata: fields["listenerMetadata"] ?? "" };
  if (typeof listener.path !== "string" || listener.path === "") {
    throw new Failure("invalid_argument", "seccomp listenerPath is not set");
  }
  if (typeof listener.metadata !== "string") {
    throw new Failure("invalid_argument", "config.json: linux.seccomp.listenerMetadata must be a text");
  }
  return {
    ...{ ...kept, flags: flags | linux.SECCOMP_FILTER_FLAG_NEW_LISTENER },
    listener: { path: listener.path, metadata: listener.metadata },
  };
}

/** Flags that are not there at all mean the one that keeps a filter from slowing the program down. */
function flagsOf(names: Json): number {
  if (!Array.isArray(names)) return linux.SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  let flags = 0;
  for (const name of names) {
    const bit = typeof name === "string" ? lookUp(FLAGS, name) : undefined;
    if (bit === undefined) {
      throw new Failure("invalid_argument", `seccomp flag ${formatJson(name)} is not known to runc`);
    }
    flags |= bit;
  }
  return flags;
}

function compile(spec: Json): Compiled {
  const rules = compileRules(readSeccomp(spec, "linux.seccomp"));
  const { defaultAction, architectures, names, unknownAction } = rules;
  const program = door().seccomp(defaultAction, architectures, names, rules.rules, unknownAction);
  if (typeof program === "number") {
    throw new Failure("invalid_argument", `error loading seccomp filter into kernel: ${errnoSentence(-program)}`);
  }
  return { program, listens: rules.listens };
}
