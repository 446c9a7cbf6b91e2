// Where a shim's socket is: one path for each daemon, namespace and group of containers, so that a second start for the
// same group finds the first shim.
//
//     <directory>/<sha256 hex of "address/namespace/group">      directory 0700, socket 0600, never abstract

import { encodeUtf8, toHex } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import { sha256 } from "../../base/sha256.ts";
import { EADDRINUSE, errnoOf, must, retrying } from "../../linux/errno.ts";
import * as fd from "../../linux/fd.ts";
import { SYS_flock } from "../../linux/numbers.ts";
import { connectUnix, listenUnix } from "../../linux/socket.ts";
import { ADDRESS_LIMIT, CONFIG_LIMIT } from "./limits.ts";

const DIRECTORY = "/run/containerd/s";
/** Names another directory for the sockets: for private state roots. */
export const DIRECTORY_VARIABLE = "CONTAINERD_SHIM_SOCKET_DIR";

const LOCK_EX = 2;
const GROUP_LABELS = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

export function socketDirectory(env: Readonly<Record<string, string>>, given: string | null): string {
  return (given ?? env[DIRECTORY_VARIABLE] ?? DIRECTORY).replace(/\/+$/, "");
}

/** The group a container belongs to, by the annotations in its bundle's config.json; else itself. */
export function groupOf(bundle: string, id: string): string {
  const text = fd.readTextIfThere(`${bundle}/config.json`, CONFIG_LIMIT);
  // Parsed only where it matters: the memory a whole spec takes would stay with the shim for its life.
  if (text === null || !GROUP_LABELS.some((label) => text.includes(label))) return id;
  const spec = JSON.parse(text) as { annotations?: Record<string, string> } | null;
  for (const label of GROUP_LABELS) {
    const group = spec?.annotations?.[label];
    if (typeof group === "string" && group !== "") return group;
  }
  return id;
}

export function socketPath(directory: string, parts: { address: string; namespace: string; group: string }): string {
  const name = `${parts.address}/${parts.namespace}/${parts.group}`.replace(/\/+/g, "/");
  return `${directory}/${toHex(sha256(encodeUtf8(name)))}`;
}

/** A listening socket, or null when a living shim has it. What a dead one left is replaced. */
export function claimSocket(directory: string, path: string): fd.Fd | null {
  fd.makeDirectories(directory, 0o700);
  // Two shims that find the same dead socket (a pod's tasks are taken over one by one) would each remove the other's.
  using _alone = lockDirectory(directory);
  try {
    return listenUnix(path, 0o600);
  } catch (thrown) {
    if (errnoOf(thrown) !== EADDRINUSE)
      throw new Error(`create new shim socket: ${messageOf(thrown)}`, { cause: thrown });
  }
  if (isServed(path)) return null;
  fd.unlinkIfThere(path);
  return listenUnix(path, 0o600);
}

/** Held until it is closed. */
function lockDirectory(directory: string): fd.Fd {
  const opened = fd.open(directory, fd.O_RDONLY | fd.O_DIRECTORY);
  must("flock", directory, retrying(SYS_flock, opened.number, LOCK_EX));
  return opened;
}

/** In the bundle of what is served there: `adopt`, `delete` and daemons up to 1.6 read it back; the later daemons keep
 *  their own record. */
export function keepAddress(bundle: string, path: string): void {
  fd.replaceFile(`${bundle}/address`, `unix://${path}`, 0o600);
}

/** The path of the socket that the bundle names, or null. */
export function addressIn(bundle: string): string | null {
  const path = (fd.readTextIfThere(`${bundle}/address`, ADDRESS_LIMIT) ?? "").replace(/^unix:\/\//, "");
  return path.startsWith("/") ? path : null;
}

export function isServed(path: string): boolean {
  try {
    connectUnix(path).close();
    return true;
  } catch {
    return false;
  }
}
