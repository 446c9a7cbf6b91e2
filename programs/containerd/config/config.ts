// containerd's configuration: config.toml (versions 0 to 4 agree on what is read here), then the command line over it.
// Known names are checked; what configures plugins and parts that are not here is passed over, named in the log.

import { existsSync, readFileSync } from "node:fs";
import { isAbsolute } from "node:path";
import { Failure } from "../../../base/errors.ts";
import { type LogLevel, parseLogLevel } from "../../../base/log.ts";
import { parseToml, type TomlTable, type TomlValue } from "./toml.ts";

export const DEFAULT_CONFIG = "/etc/containerd/config.toml";
const VERSION_LIMIT = 4;
/** Tables that configure what Gantry does not have, or fixes by itself. */
const PASSED_OVER = ["plugins", "proxy_plugins", "timeouts", "stream_processors", "cgroup", "metrics"];

export interface Config {
  root: string;
  state: string;
  address: string;
  uid: number;
  gid: number;
  ttrpcAddress: string;
  level: LogLevel;
  /** Names of the file that were passed over. */
  ignored: string[];
}

export interface CommandLine {
  config: string | null;
  root: string | null;
  state: string | null;
  address: string | null;
  level: string | null;
}

/** A file that the command line names must exist; the usual one need not. */
export function loadConfig(given: CommandLine): Config {
  const path = given.config ?? DEFAULT_CONFIG;
  if (given.config !== null && !existsSync(path)) {
    throw new Failure("not_found", `failed to load TOML from ${path}: open ${path}: no such file or directory`);
  }
  const table = existsSync(path) ? parseToml(readFileSync(path, "utf8"), path) : {};
  const config = readConfig(table, path);
  if (given.root !== null) config.root = given.root;
  if (given.state !== null) config.state = given.state;
  if (given.address !== null) {
    config.address = given.address;
    config.ttrpcAddress = "";
  }
  if (given.level !== null) config.level = levelOf(given.level);
  if (config.ttrpcAddress === "") config.ttrpcAddress = `${config.address}.ttrpc`;
  for (const path of [config.root, config.state, config.address]) {
    if (!isAbsolute(path)) throw new Failure("invalid_argument", `path ${JSON.stringify(path)} must be absolute`);
  }
  if (config.root === config.state) throw new Failure("invalid_argument", "root and state must be different paths");
  return config;
}

function readConfig(table: TomlTable, file: string): Config {
  const top = new Section(table, "", file);
  const version = top.integer("version", 0);
  if (version < 0 || version > VERSION_LIMIT) {
    throw new Failure("invalid_argument", `${file}: unsupported config version: ${version}`);
  }
  const root = top.text("root", "/var/lib/containerd");
  const state = top.text("state", "/run/containerd");
  const ignored = top.passOver([
    ...PASSED_OVER,
    ...["temp", "plugin_dir", "oom_score", "required_plugins", "disabled_plugins", "imports"],
  ]);
  const grpc = top.section("grpc");
  const address = grpc.text("address", "/run/containerd/containerd.sock");
  const [uid, gid] = [grpc.integer("uid", 0), grpc.integer("gid", 0)];
  grpc.passOver([
    ...["tcp_address", "tcp_tls_ca", "tcp_tls_cert", "tcp_tls_key", "tcp_tls_common_name"],
    ...["max_recv_message_size", "max_send_message_size"],
  ]);
  const ttrpc = top.section("ttrpc");
  const ttrpcAddress = ttrpc.text("address", "");
  ttrpc.passOver(["uid", "gid"]);
  const debug = top.section("debug");
  const level = levelOf(debug.text("level", "info"));
  debug.passOver(["address", "uid", "gid", "format"]);
  for (const section of [top, grpc, ttrpc, debug]) section.refuseRest();
  return { root, state, address, uid, gid, ttrpcAddress, level, ignored };
}

function levelOf(word: string): LogLevel {
  const level = parseLogLevel(word === "" ? "info" : word);
  if (level === null) throw new Failure("invalid_argument", `not a valid logrus Level: ${JSON.stringify(word)}`);
  return level;
}

/** One table, from which each known name is taken; what is left over is a mistake. */
class Section {
  private readonly table: TomlTable;
  private readonly name: string;
  private readonly file: string;
  private readonly taken = new Set<string>();

  constructor(table: TomlTable, name: string, file: string) {
    this.table = table;
    this.name = name;
    this.file = file;
  }

  text(key: string, fallback: string): string {
    const value = this.take(key);
    if (value === undefined || value === "") return fallback;
    if (typeof value !== "string") this.fail(key, "must be a string");
    return value;
  }

  integer(key: string, fallback: number): number {
    const value = this.take(key);
    if (value === undefined) return fallback;
    if (typeof value !== "number") this.fail(key, "must be an integer");
    return value;
  }

  section(key: string): Section {
    const value = this.take(key) ?? {};
    if (typeof value !== "object" || Array.isArray(value)) this.fail(key, "must be a table");
    return new Section(value, key, this.file);
  }

  /** Those of the names that the file sets. */
  passOver(keys: readonly string[]): string[] {
    return keys.filter((key) => this.take(key) !== undefined);
  }

  refuseRest(): void {
    const unknown = Object.keys(this.table).find((key) => !this.taken.has(key));
    if (unknown !== undefined) this.fail(unknown, "is not known");
  }

  private take(key: string): TomlValue | undefined {
    this.taken.add(key);
    return Object.hasOwn(this.table, key) ? this.table[key] : undefined;
  }

  private fail(key: string, reason: string): never {
    const name = this.name === "" ? key : `${this.name}.${key}`;
    throw new Failure("invalid_argument", `${this.file}: ${name} ${reason}`);
  }
}

/** What `containerd config default` and `dump` print. */
export function formatConfig(config: Config): string {
  const text = JSON.stringify;
  return [
    "version = 2",
    `root = ${text(config.root)}`,
    `state = ${text(config.state)}`,
    "",
    "[grpc]",
    `  address = ${text(config.address)}`,
    `  uid = ${config.uid}`,
    `  gid = ${config.gid}`,
    "",
    "[ttrpc]",
    `  address = ${text(config.ttrpcAddress)}`,
    "",
    "[debug]",
    `  level = ${text(config.level)}`,
    "",
  ].join("\n");
}
