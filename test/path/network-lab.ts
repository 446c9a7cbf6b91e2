// A laboratory for docker-net: a "host" network namespace in which it runs, a neighbour machine beside it, and commands
// in either or in a container's namespace. Nothing touches the real host's network; dispose removes all of it.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Net } from "../../api/net/gen/net.ts";
import { codeOf, messageOf } from "../../base/errors.ts";
import { createNodeRuntime, nodeClock } from "../../runtime/node/runtime.ts";
import { TtrpcClient } from "../../wire/ttrpc/client.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const program = join(root, "dist/bin/docker-net");
const needed = [program, "/usr/sbin/ip", "/usr/sbin/nft", "/usr/bin/nsenter", "/usr/bin/busybox"];
const missing = needed.filter((path) => !existsSync(path));
export const skip =
  process.getuid?.() !== 0 ? "needs root" : missing.length > 0 ? `missing: ${missing.join(", ")}` : false;

export const HOST_ADDRESS = "10.99.0.1";
const NEIGHBOUR_ADDRESS = "10.99.0.2";
const START_TIMEOUT = 30_000;

export type Place = "host" | "neighbour" | "machine" | { container: string };

/** In milliseconds. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

export function run(command: string, ...args: string[]): string {
  const result = spawnSync(command, args, { encoding: "utf8", timeout: 20_000 });
  assert.equal(result.status, 0, `${command} ${args.join(" ")}: ${result.stderr}`);
  return result.stdout;
}

/** busybox-static's wget cannot be used: it crashes where it looks a name up. */
const FETCH = `const [host, port] = process.argv.slice(1);
const { connect } = require("node:net");
const socket = connect({ host, port: Number(port) }, () => socket.write("GET / HTTP/1.0\\r\\n\\r\\n"));
let text = ""; socket.on("data", (part) => { text += part; }); socket.on("error", () => {});
socket.on("close", () => process.stdout.write(text.replace(/^.*?\\r\\n\\r\\n/s, "")));
setTimeout(() => socket.destroy(), 1000).unref();`;

let labs = 0;

export class Lab {
  readonly folder = mkdtempSync(join(tmpdir(), "gantry-net-"));
  readonly socket = join(this.folder, "net.sock");
  readonly state = join(this.folder, "state");
  readonly #host = `gantry-h-${process.pid}-${labs}`;
  readonly #neighbour = `gantry-n-${process.pid}-${labs++}`;
  readonly #machine = `gantry-m-${process.pid}-${labs}`;
  readonly #servers: ChildProcess[] = [];
  #process: ChildProcess | null = null;
  #exit: Promise<number | null> = Promise.resolve(null);
  #clients: TtrpcClient[] = [];
  log = "";

  constructor() {
    for (const name of [this.#host, this.#neighbour]) {
      run("ip", "netns", "add", name);
      run("ip", "-n", name, "link", "set", "lo", "up");
    }
    run(
      "ip",
      "link",
      "add",
      "out0",
      "netns",
      this.#host,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      "netns",
      this.#neighbour,
    );
    run("ip", "-n", this.#host, "addr", "add", `${HOST_ADDRESS}/24`, "dev", "out0");
    run("ip", "-n", this.#host, "link", "set", "out0", "up");
    run("ip", "-n", this.#neighbour, "addr", "add", `${NEIGHBOUR_ADDRESS}/24`, "dev", "eth0");
    run("ip", "-n", this.#neighbour, "link", "set", "eth0", "up");
    run("ip", "-n", this.#neighbour, "route", "add", "default", "via", HOST_ADDRESS);
  }

  namespaceOf(place: Place): string {
    if (place === "host") return `/run/netns/${this.#host}`;
    if (place === "machine") return `/run/netns/${this.#machine}`;
    if (place === "neighbour") return `/run/netns/${this.#neighbour}`;
    return join(this.state, "netns", place.container);
  }

  /** A further machine, on a wire of its own to the host. */
  addMachine(hostAddress: string, address: string): void {
    run("ip", "netns", "add", this.#machine);
    const peer = ["peer", "name", "eth0", "netns", this.#machine];
    run("ip", "link", "add", "out1", "netns", this.#host, "type", "veth", ...peer);
    run("ip", "-n", this.#host, "addr", "add", `${hostAddress}/24`, "dev", "out1");
    run("ip", "-n", this.#host, "link", "set", "out1", "up");
    run("ip", "-n", this.#machine, "addr", "add", `${address}/24`, "dev", "eth0");
    run("ip", "-n", this.#machine, "link", "set", "eth0", "up");
    run("ip", "-n", this.#machine, "route", "add", "default", "via", hostAddress);
  }

  /** A setting of the host's under /proc/sys; one that the kernel does not have stays so. */
  set(name: string, value: string): void {
    this.try("host", "sh", "-c", `[ ! -e /proc/sys/${name} ] || echo ${value} >/proc/sys/${name}`);
  }

  /** The command's output; "" when it fails. */
  try(place: Place, ...command: string[]): string {
    const line = [`--net=${this.namespaceOf(place)}`, ...command];
    return spawnSync("nsenter", line, { encoding: "utf8", timeout: 20_000 }).stdout;
  }

  in(place: Place, ...command: string[]): string {
    return run("nsenter", `--net=${this.namespaceOf(place)}`, ...command);
  }

  /** What an HTTP server there says; "" when nobody answers within a second. */
  fetch(place: Place, where: string): string {
    const at = where.replace(/^(\d+\.\d+\.\d+\.\d+)$/, "$1:80");
    const [, host, port] = /^\[?([^\]]*?)\]?:(\d+)$/.exec(at)!;
    return this.try(place, process.execPath, "-e", FETCH, host!, port!).trim();
  }

  /** A container's server: it answers with the text. Resolves when it listens. */
  async serve(container: string, port: number, text: string): Promise<void> {
    const files = mkdtempSync(join(this.folder, "www-"));
    writeFileSync(join(files, "index.html"), text);
    const place = { container };
    const line = [`--net=${this.namespaceOf(place)}`, "busybox", "httpd", "-f", "-p", `${port}`, "-h", files];
    this.#servers.push(spawn("nsenter", line, { stdio: "ignore" }));
    for (let attempt = 0; attempt < 100; attempt++) {
      if (this.fetch(place, `127.0.0.1:${port}`) === text) return;
      await pause(20);
    }
    assert.fail(`the server in ${container} does not answer`);
  }

  stopServers(): void {
    for (const server of this.#servers.splice(0)) server.kill("SIGKILL");
  }

  async start() {
    const line = [`--net=${this.namespaceOf("host")}`, program, "--socket", this.socket, "--state", this.state];
    const child = spawn("nsenter", line, { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.on("data", (part: Buffer) => {
      this.log += part.toString();
    });
    this.#process = child;
    this.#exit = new Promise((resolve) => child.on("exit", (code) => resolve(code)));
    for (const end = Date.now() + START_TIMEOUT; Date.now() < end; await pause(10)) {
      const net = await this.connect().catch(() => null);
      if (net !== null) return net;
      if (child.exitCode !== null) break;
    }
    assert.fail(`docker-net did not start: ${this.log}`);
  }

  async connect() {
    const runtime = createNodeRuntime({ args: [], programName: "test" });
    const client = new TtrpcClient(await runtime.connectUnix(this.socket), { clock: nodeClock });
    this.#clients.push(client);
    return client.of(Net);
  }

  /** Its exit code; null when a signal ended it. */
  get ended(): Promise<number | null> {
    return this.#exit;
  }

  async kill(signal: NodeJS.Signals): Promise<number | null> {
    this.#process?.kill(signal);
    return this.#exit;
  }

  /** Everything docker-net could leave behind, as text to compare. */
  traces(): string {
    const list = (folder: string) => {
      const path = join(this.state, folder);
      return existsSync(path) ? readdirSync(path).sort().join(" ") : "";
    };
    const links = this.in("host", "ip", "-br", "link").replace(/^(\S+).*$/gm, "$1");
    const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    return [
      `links: ${links.trim().split("\n").sort().join(" ")}`,
      `rules: ${this.in("host", "nft", "list", "ruleset")}`,
      `endpoints: ${list("endpoints")}`,
      `bridges: ${list("bridges")}`,
      `netns: ${list("netns")}`,
      `mounts: ${mounts.filter((line) => line.includes(this.folder)).length}`,
      `listening: ${this.in("host", "ss", "-Hltun").trim().split(/\s+/).length}`,
    ].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopServers();
    for (const client of this.#clients) client.close();
    await this.kill("SIGKILL");
    const held = join(this.state, "netns");
    for (const name of existsSync(held) ? readdirSync(held) : []) spawnSync("umount", ["-l", join(held, name)]);
    for (const name of [this.#host, this.#neighbour, this.#machine]) {
      if (existsSync(`/run/netns/${name}`)) run("ip", "netns", "delete", name);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What -p asks for; 0 is any host port, "" every address. */
export const port = (containerPort: number, hostPort = 0, hostIp = "") => ({
  protocol: "tcp",
  containerPort,
  hostIp,
  hostPort,
  hostPortEnd: 0,
});

/** The code and sentence of a call that must fail. */
export async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (thrown) {
    return `${codeOf(thrown)}: ${messageOf(thrown)}`;
  }
  assert.fail("the call did not fail");
}
