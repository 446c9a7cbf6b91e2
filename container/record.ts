// state.json as text becomes a record that can be relied on: ours, the original's of any version (newer ones leave out
// what is empty), or neither, which is said in a sentence. Only what is acted on is checked: a pid that is signalled,
// directories that are emptied and removed, hooks that are run.

import { Failure } from "../base/errors.ts";
import { type Json, parseJson } from "../base/json.ts";
import { list, optional, or, type Read, raw, record, text } from "./spec/fields.ts";
import type { HookSpec, Hooks } from "./spec/schema.ts";
import type { ContainerRecord } from "./state.ts";

/** Bytes of state.json. Annotations are in it, so it may be as long as config.json. */
export const RECORD_LIMIT = 16 << 20;
const PID_LIMIT = 1 << 30;
/** The original keeps a hook's timeout in nanoseconds. */
const NANOSECONDS = 1e9;

type JsonObject = { [key: string]: Json };

/** Throws data_loss for what is no record. `path` is for the sentence. */
export function readRecord(content: string, path: string): ContainerRecord {
  const damaged = (what: string, cause?: unknown): Failure =>
    new Failure("data_loss", `${path} is damaged: ${what}`, { cause });
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (thrown) {
    throw damaged((thrown as Error).message, thrown);
  }
  if (!isObject(value)) throw damaged("it is no object");
  const { config, init_process_pid: pid, init_process_start: start } = value;
  if (!isObject(config)) throw damaged("it has no config");
  if (!Number.isInteger(pid) || (pid as number) < 0 || (pid as number) > PID_LIMIT)
    throw damaged("no init_process_pid");
  if (typeof start !== "number") throw damaged("no init_process_start");
  for (const [name, part] of [["id", value["id"]] as const, ["rootfs", config["rootfs"]] as const]) {
    if (typeof part !== "string") throw damaged(`no ${name}`);
  }
  if (typeof value["created"] !== "string") value["created"] = "0001-01-01T00:00:00Z";
  value["cgroup_paths"] ??= {};
  if (!arePaths(value["cgroup_paths"])) throw damaged("cgroup_paths are no directories");
  value["intel_rdt_path"] ??= "";
  if (typeof value["intel_rdt_path"] !== "string") throw damaged("intel_rdt_path is no text");
  for (const name of ["uid_mappings", "gid_mappings", "Hooks", "seccomp_flags", "personality", "resctrl"]) {
    config[name] ??= null;
  }
  if (config["resctrl"] !== null && !areGroups(config["resctrl"]!)) throw damaged("resctrl names no groups");
  if (config["personality"] !== null && !isPersonality(config["personality"]!)) throw damaged("personality is none");
  config["labels"] ??= [];
  config["namespaces"] ??= [];
  if (!isListOf(config["labels"], (label) => typeof label === "string")) throw damaged("labels are no texts");
  if (!isListOf(config["namespaces"], isNamespace)) throw damaged("no list of namespaces");
  return value as unknown as ContainerRecord;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isListOf(value: unknown, test: (entry: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(test);
}

/** Completes it, too. */
function isNamespace(value: unknown): boolean {
  if (!isObject(value) || typeof value["type"] !== "string") return false;
  value["path"] ??= "";
  return typeof value["path"] === "string";
}

/** Groups below the mount of resctrl, which are removed with the container. */
function areGroups(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { group, monitor } = value;
  return [group, monitor].every((path) => path === null || arePaths({ path }));
}

function isPersonality(value: unknown): boolean {
  return isObject(value) && Number.isInteger(value["domain"]);
}

function arePaths(value: unknown): boolean {
  if (!isObject(value)) return false;
  return Object.values(value).every(
    (path) => typeof path === "string" && /^\/(?!.*(?:\/\/|\/\.\.?(?:\/|$)|\0))./.test(path),
  );
}

const kept = record({
  path: text,
  args: list(text),
  env: optional(list(text)),
  timeout: raw,
});
const readHooks = record({ poststart: list(kept), poststop: list(kept) });
const readKept = or(readHooks, { poststart: [], poststop: [] });

type KeptHook = Read<typeof kept>;

/** What is kept for later commands, in the original's units; null when there is nothing to keep. */
export function keepHooks(hooks: Hooks | null): Record<"poststart" | "poststop", KeptHook[]> | null {
  if (hooks === null || hooks.poststart.length + hooks.poststop.length === 0) return null;
  const keep = (hook: HookSpec): KeptHook => ({
    ...hook,
    timeout: hook.timeout === null ? null : hook.timeout * NANOSECONDS,
  });
  return { poststart: hooks.poststart.map(keep), poststop: hooks.poststop.map(keep) };
}

/** The hooks of a record, as config.json has them. */
export function keptHooks({ config }: ContainerRecord, name: "poststart" | "poststop"): HookSpec[] {
  if (config.Hooks === null) return [];
  return readKept(config.Hooks as Json, "config.Hooks")[name].map((hook) => ({
    ...hook,
    timeout: typeof hook.timeout === "number" ? hook.timeout / NANOSECONDS : null,
  }));
}

/** What can be read out of a damaged record: enough to end and clear what it was about. */
export function salvage(
  content: string,
): Pick<ContainerRecord, "cgroup_paths" | "init_process_pid" | "init_process_start"> {
  const number = (name: string) => Number(new RegExp(`"${name}":\\s*(\\d{1,15})[,}]`).exec(content)?.[1] ?? 0);
  const map = /"cgroup_paths":\s*(\{[^{}]*\})/.exec(content)?.[1] ?? "{}";
  return {
    init_process_pid: number("init_process_pid"),
    init_process_start: number("init_process_start"),
    cgroup_paths: pathsIn(map),
  };
}

/** Directories by hierarchy out of JSON text; none when it is not that. */
export function pathsIn(content: string): Record<string, string> {
  try {
    const paths = parseJson(content);
    return arePaths(paths) ? (paths as Record<string, string>) : {};
  } catch {
    return {};
  }
}
