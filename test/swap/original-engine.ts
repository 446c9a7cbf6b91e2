// An original dockerd and containerd of a test's own, with one busybox image, and how a docker client is run against
// them.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const START_TIMEOUT_MS = 30_000;
/** The original client. */
export const ORIGINAL = "/usr/local/bin/docker";

export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** An original engine of our own, with one image, in a folder that goes with it. */
export class OriginalEngine {
  /** Made by start. */
  folder = "";
  readonly #children: ChildProcess[] = [];

  get host(): string {
    return `unix://${this.folder}/d.sock`;
  }

  async start(): Promise<void> {
    this.folder = mkdtempSync(path.join(tmpdir(), "gantry-cli-"));
    const { folder } = this;
    const config = [
      "version = 2",
      `root = "${folder}/root"`,
      `state = "${folder}/state"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]',
      `[grpc]\naddress = "${folder}/c.sock"`,
      `[ttrpc]\naddress = "${folder}/c.sock.ttrpc"`,
    ];
    writeFileSync(`${folder}/containerd.toml`, `${config.join("\n")}\n`);
    this.#spawn("containerd", ["--config", `${folder}/containerd.toml`]);
    await until(() => existsSync(`${folder}/c.sock`));
    const name = path.basename(folder);
    const network = ["--bridge=none", "--iptables=false", "--ip6tables=false"];
    const places = ["--data-root", `${folder}/data`, "--exec-root", `${folder}/exec`, "--pidfile", `${folder}/pid`];
    const parent = ["--containerd", `${folder}/c.sock`, "--containerd-namespace", name];
    this.#spawn("dockerd", [
      ...parent,
      "--containerd-plugins-namespace",
      `${name}-p`,
      ...network,
      ...places,
      "-H",
      this.host,
    ]);
    await until(async () => (await run(ORIGINAL, ["version"], this.host)).status === 0);
    await this.#addImage();
  }

  #spawn(program: string, args: string[]): void {
    this.#children.push(spawn(program, args, { stdio: "ignore" }));
  }

  async #addImage(): Promise<void> {
    const root = `${this.folder}/image`;
    mkdirSync(`${root}/bin`, { recursive: true });
    execFileSync("cp", ["/bin/busybox", `${root}/bin/busybox`]);
    const applets = "sh ls cat echo sleep true false env id pwd stty kill touch head seq wc tty tr".split(" ");
    for (const applet of applets) execFileSync("ln", ["-s", "busybox", `${root}/bin/${applet}`]);
    execFileSync("tar", ["-C", root, "-cf", `${this.folder}/image.tar`, "."]);
    const imported = await run(
      ORIGINAL,
      ["import", "-c", 'CMD ["sh"]', `${this.folder}/image.tar`, "busybox"],
      this.host,
    );
    assert.equal(imported.status, 0, imported.stderr);
  }

  async stop(): Promise<void> {
    for (const child of this.#children.reverse()) {
      child.kill("SIGTERM");
      await new Promise((resolve) => child.once("exit", resolve));
    }
    execFileSync("sh", ["-c", `grep -o '${this.folder}[^ ]*' /proc/mounts | sort -r | xargs -r umount -l || true`]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + START_TIMEOUT_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < end, "the original engine did not come up");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export function run(program: string, args: readonly string[], host: string, stdin = ""): Promise<Outcome> {
  const env = { PATH: process.env["PATH"], HOME: "/nonexistent", DOCKER_HOST: host, DOCKER_CLI_HINTS: "false" };
  return new Promise((resolve) => {
    const child = execFile(program, args, { env, timeout: 30_000, cwd: tmpdir() }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === "number" ? error.code : 255;
      resolve({ status, stdout, stderr });
    });
    child.stdin?.on("error", () => {});
    child.stdin?.end(stdin);
  });
}
