// Where the engine is: which context or host counts, what a host text means, and how to connect there.
//
//     -H  ▶  --context  ▶  DOCKER_HOST  ▶  DOCKER_CONTEXT  ▶  currentContext of config.json  ▶  the local socket

import { decodeUtf8 } from "../../../base/bytes.ts";
import { Failure } from "../../../base/errors.ts";
import { quote } from "../../../base/flags/go.ts";
import { parseJson } from "../../../base/json.ts";
import type { ByteStream, Files, Runtime } from "../../../base/runtime.ts";
import { ExitStatus } from "../failure.ts";
import { sha256Hex } from "./sha256.ts";
import { findProgram, PairedStream } from "./spawned.ts";

export const DEFAULT_HOST = "unix:///var/run/docker.sock";
const MAX_CONTEXT_BYTES = 1024 * 1024;

export type Endpoint =
  | { kind: "unix"; host: string; path: string }
  | { kind: "tcp"; host: string; hostname: string; port: number; path: string; tls: TlsFiles | null }
  | { kind: "ssh"; host: string; user: string; hostname: string; port: string };

/** Where certificates are; "" for none. */
export interface TlsFiles {
  ca: string;
  cert: string;
  key: string;
  /** Whether the daemon's certificate is checked. */
  verify: boolean;
}

/** Connects with TLS, where the engine can. */
export type TlsDialer = (hostname: string, port: number, files: TlsFiles) => Promise<ByteStream>;

export interface HostChoice {
  /** All -H given; one is allowed. */
  hosts: readonly string[];
  context: string;
  /** Null for plain connections. */
  tls: TlsFiles | null;
  configDirectory: string;
  currentContext: string;
}

export function resolveContextName(runtime: Runtime, choice: HostChoice): string {
  if (choice.context !== "" && choice.hosts.length > 0) {
    throw new ExitStatus(1, "conflicting options: cannot specify both --host and --context");
  }
  if (choice.context !== "") return choice.context;
  if (choice.hosts.length > 0 || (runtime.env["DOCKER_HOST"] ?? "") !== "") return "default";
  return runtime.env["DOCKER_CONTEXT"] || choice.currentContext || "default";
}

export function resolveEndpoint(runtime: Runtime, choice: HostChoice): Endpoint {
  const name = resolveContextName(runtime, choice);
  if (name !== "default") return contextEndpoint(runtime.files, choice.configDirectory, name);
  if (choice.hosts.length > 1) throw unresolved("Specify only one -H");
  const host = choice.hosts[0] ?? runtime.env["DOCKER_HOST"] ?? "";
  return parseHost(host, choice.tls);
}

export function parseHost(text: string, tls: TlsFiles | null): Endpoint {
  const host = text.trim();
  if (host === "") return { kind: "unix", host: DEFAULT_HOST, path: DEFAULT_HOST.slice("unix://".length) };
  const scheme = host.includes("://") ? host.slice(0, host.indexOf("://")) : "tcp";
  const rest = host.includes("://") ? host.slice(host.indexOf("://") + 3) : host;
  if (scheme === "unix") {
    const path = rest === "" ? "/var/run/docker.sock" : rest;
    if (path.includes("://")) throw unresolved(`invalid bind address ${quote(host)}: unexpected scheme`);
    return { kind: "unix", host: `unix://${path}`, path };
  }
  if (scheme === "https") return parseTcp(rest, tls ?? NO_FILES);
  if (scheme === "tcp" || scheme === "http") return parseTcp(rest, tls);
  if (scheme === "ssh") {
    const match = /^(?:([^@/]+)@)?([^:/]+)(?::(\d+))?\/?$/.exec(rest);
    if (match === null) throw unresolved(`invalid ssh URL ${quote(host)}`);
    return { kind: "ssh", host, user: match[1] ?? "", hostname: match[2]!, port: match[3] ?? "" };
  }
  throw unresolved(`invalid bind address format: ${host}`);
}

const NO_FILES: TlsFiles = { ca: "", cert: "", key: "", verify: true };

function parseTcp(rest: string, tls: TlsFiles | null): Endpoint {
  const slash = rest.indexOf("/");
  const address = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? "" : rest.slice(slash).replace(/\/+$/, "");
  const match = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(address);
  if (match === null) throw unresolved(`invalid bind address format: ${rest}`);
  const portText = match[2] ?? "";
  if (!/^\d*$/.test(portText)) throw unresolved(`parse "tcp://${rest}": invalid port ":${portText}" after host`);
  const port = portText === "" ? (tls === null ? 2375 : 2376) : Number(portText);
  const hostname = match[1] === "" ? "localhost" : match[1]!;
  const plain = hostname.replace(/^\[|\]$/g, "");
  return { kind: "tcp", host: `tcp://${hostname}:${port}${path}`, hostname: plain, port, path, tls };
}

function contextEndpoint(files: Files, directory: string, name: string): Endpoint {
  const id = sha256Hex(name);
  const path = `${directory}/contexts/meta/${id}/meta.json`;
  const bytes = files.read(path, MAX_CONTEXT_BYTES);
  if (bytes === null) {
    throw unresolved(`context ${quote(name)}: context not found: open ${path}: no such file or directory`);
  }
  const meta = parseJson(decodeUtf8(bytes)) as { Endpoints?: { docker?: { Host?: string; SkipTLSVerify?: boolean } } };
  const { Host = "", SkipTLSVerify = false } = meta.Endpoints?.docker ?? {};
  const folder = `${directory}/contexts/tls/${id}/docker`;
  const present = (name: string) => (files.stat(`${folder}/${name}`) === null ? "" : `${folder}/${name}`);
  const tls = { ca: present("ca.pem"), cert: present("cert.pem"), key: present("key.pem"), verify: !SkipTLSVerify };
  return parseHost(Host, files.stat(folder) === null ? null : tls);
}

function unresolved(reason: string): ExitStatus {
  return new ExitStatus(1, `Failed to initialize: unable to resolve docker endpoint: ${reason}`);
}

const NODE_PROGRAM = "docker-tls";

/** On QuickJS, what needs TLS or a resolver is done by the same command on Node, which takes this process's place. */
function handOver(runtime: Runtime, why: string): never {
  let program: string;
  try {
    program = findProgram(runtime, NODE_PROGRAM);
  } catch {
    throw new Failure("unimplemented", `${why}, for which ${NODE_PROGRAM} has to be in PATH`);
  }
  return runtime.replace(program, { args: runtime.args, env: runtime.env });
}

export function dialerOf(runtime: Runtime, endpoint: Endpoint, tlsDialer: TlsDialer | null): () => Promise<ByteStream> {
  switch (endpoint.kind) {
    case "unix":
      return () => runtime.connectUnix(endpoint.path);
    case "tcp":
      return dialTcp(runtime, endpoint, tlsDialer);
    case "ssh":
      return async () => {
        const target = endpoint.user === "" ? endpoint.hostname : `${endpoint.user}@${endpoint.hostname}`;
        const port = endpoint.port === "" ? [] : ["-p", endpoint.port];
        const args = ["-o", "ConnectTimeout=30", "-T", ...port, "--", target, "docker", "system", "dial-stdio"];
        return new PairedStream(runtime.spawn(findProgram(runtime, "ssh"), { args, stdin: "pipe", stdout: "pipe" }));
      };
  }
}

function dialTcp(
  runtime: Runtime,
  endpoint: Extract<Endpoint, { kind: "tcp" }>,
  tlsDialer: TlsDialer | null,
): () => Promise<ByteStream> {
  const { hostname, port, tls } = endpoint;
  if (tls !== null) {
    if (tlsDialer === null) return handOver(runtime, `${endpoint.host} is spoken to with TLS`);
    return () => tlsDialer(hostname, port, tls);
  }
  const numeric = /^\d+\.\d+\.\d+\.\d+$/.test(hostname) || hostname === "localhost";
  if (runtime.engine === "quickjs" && !numeric) return handOver(runtime, `the name ${hostname} has to be resolved`);
  return () => runtime.connectTcp(hostname, port);
}
