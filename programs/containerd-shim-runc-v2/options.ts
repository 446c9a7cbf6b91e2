// The runtime's options of a task, as the daemon sends them (Any) and as `delete` finds them again in the bundle, where
// the original keeps them too: options.json and runtime.

import { Options } from "../../api/task/gen/runc_options.ts";
import type { Any } from "../../api/wellknown/gen/any.ts";
import { Failure } from "../../base/errors.ts";
import { readTextIfThere, writeFile } from "../../linux/fd.ts";
import type { TaskDefaults } from "./command-line.ts";
import { STDIN_LIMIT } from "./limits.ts";

const DEFAULT_ROOT = "/run/containerd/runc";
const DEFAULT_RUNTIME = "runc";

/** Null for none; another type than the runc shim's is an error. */
export function parseOptions(any: Any | null): Options {
  if (any === null || any.typeUrl === "") return Options.create();
  if (any.typeUrl.replace(/^.*\//, "") !== Options.typeName) {
    throw new Failure("invalid_argument", `unsupported option type "${any.typeUrl}"`);
  }
  return Options.decode(any.value);
}

export function withDefaults(options: Options, { root, systemdCgroup, criuWork }: TaskDefaults): Options {
  return {
    ...options,
    root: options.root === "" ? root : options.root,
    systemdCgroup: options.systemdCgroup || systemdCgroup,
    criuWorkPath: options.criuWorkPath === "" ? criuWork : options.criuWorkPath,
  };
}

export function runtimeOf(options: Options): string {
  return options.binaryName === "" ? DEFAULT_RUNTIME : options.binaryName;
}

/** Where the runtime keeps the states of this namespace's containers. */
export function rootOf(options: Options, namespace: string): string {
  return `${options.root === "" ? DEFAULT_ROOT : options.root}/${namespace}`;
}

export function keepOptions(bundle: string, options: Options): void {
  const kept = {
    binary_name: options.binaryName,
    root: options.root,
    systemd_cgroup: options.systemdCgroup,
    no_pivot_root: options.noPivotRoot,
    no_new_keyring: options.noNewKeyring,
    shim_cgroup: options.shimCgroup,
    io_uid: options.ioUid,
    io_gid: options.ioGid,
    criu_image_path: options.criuImagePath,
    criu_work_path: options.criuWorkPath,
    task_api_address: options.taskApiAddress,
    task_api_version: options.taskApiVersion,
  };
  writeFile(`${bundle}/options.json`, JSON.stringify(kept), 0o600);
  writeFile(`${bundle}/runtime`, options.binaryName, 0o600);
}

/** What `delete` needs of them; the original's file or ours, or nothing at all. */
export function readOptions(bundle: string): Options {
  const text = readTextIfThere(`${bundle}/options.json`, STDIN_LIMIT);
  const runtime = readTextIfThere(`${bundle}/runtime`, STDIN_LIMIT) ?? "";
  const kept = text === null || text.trim() === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
  return Options.create({
    binaryName: runtime !== "" ? runtime : String(kept["binary_name"] ?? ""),
    root: String(kept["root"] ?? ""),
    systemdCgroup: kept["systemd_cgroup"] === true,
  });
}
