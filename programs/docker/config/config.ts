// The user's configuration, config.json: read as the original reads it, unknown keys kept for whoever writes it back.

import { decodeUtf8, encodeUtf8, fromBase64, toBase64 } from "../../../base/bytes.ts";
import { messageOf } from "../../../base/errors.ts";
import { formatJson, type Json, parseJson } from "../../../base/json.ts";
import type { Files, Runtime } from "../../../base/runtime.ts";

const MAX_CONFIG_BYTES = 1024 * 1024;

export interface ConfigFile {
  auths?: Record<string, StoredAuth>;
  credsStore?: string;
  credHelpers?: Record<string, string>;
  HttpHeaders?: Record<string, string>;
  psFormat?: string;
  imagesFormat?: string;
  networksFormat?: string;
  volumesFormat?: string;
  statsFormat?: string;
  detachKeys?: string;
  currentContext?: string;
  proxies?: Record<string, ProxyConfig>;
  pruneFilters?: string[];
  [unknown: string]: unknown;
}

export interface StoredAuth {
  /** Base64 of "user:password". */
  auth?: string;
  identitytoken?: string;
  registrytoken?: string;
}

export interface ProxyConfig {
  httpProxy?: string;
  httpsProxy?: string;
  noProxy?: string;
  ftpProxy?: string;
  allProxy?: string;
}

export interface LoadedConfig {
  config: ConfigFile;
  /** What to warn of; the configuration is empty then. */
  warning: string | null;
}

export function configDirectory(runtime: Runtime, given: string): string {
  if (given !== "") return given;
  return runtime.env["DOCKER_CONFIG"] || `${runtime.env["HOME"] || "/root"}/.docker`;
}

export function loadConfig(files: Files, directory: string): LoadedConfig {
  const path = `${directory}/config.json`;
  try {
    const bytes = files.read(path, MAX_CONFIG_BYTES);
    if (bytes === null) return { config: {}, warning: null };
    const value = parseJson(decodeUtf8(bytes));
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("not a JSON object");
    return { config: value as ConfigFile, warning: null };
  } catch (thrown) {
    return { config: {}, warning: `WARNING: Error parsing config file (${path}): ${messageOf(thrown)}` };
  }
}

export function saveConfig(files: Files, directory: string, config: ConfigFile): void {
  files.makeDirectories(directory, 0o700);
  files.replace(`${directory}/config.json`, encodeUtf8(`${formatJson(config as Json, 2)}\n`), 0o600);
}

export function readStoredAuth(stored: StoredAuth | undefined): { username: string; password: string } | null {
  const bytes = stored?.auth === undefined ? null : fromBase64(stored.auth);
  if (bytes === null) return null;
  const text = decodeUtf8(bytes);
  const colon = text.indexOf(":");
  return colon < 0 ? null : { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, "") };
}

export function storeAuth(username: string, password: string): StoredAuth {
  return { auth: toBase64(encodeUtf8(`${username}:${password}`)) };
}
