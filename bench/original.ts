// The real Docker, private to one bench run: its own data, sockets and network namespace (its iptables rules must not
// reach the machine), one containerd and one dockerd.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, globSync, mkdirSync, mkdtempSync, openSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { busyboxArchive } from "../tools/start/image.ts";

const START_TIMEOUT = 30_000;
const POLL = 50;
/** Parent of its containers' cgroups; the original leaves it. */
const CGROUP = "gantry-bench";

export class OriginalDocker implements AsyncDisposable {
  readonly path = mkdtempSync(join(tmpdir(), "gantry-original-"));
  readonly host = `unix://${this.path}/docker.sock`;
  #children: ChildProcess[] = [];

  get pids(): { dockerd: number; containerd: number } {
    return { containerd: this.#children[0]!.pid!, dockerd: this.#children[1]!.pid! };
  }

  async start(): Promise<void> {
    const config = join(this.path, "containerd.toml");
    const address = join(this.path, "containerd.sock");
    const disabled = 'disabled_plugins = ["io.containerd.grpc.v1.cri"]';
    writeFileSync(config, `version = 2\nroot = "${this.path}/c-root"\nstate = "${this.path}/c-state"\n${disabled}\n`);
    const namespace = ["-n", "--", "/bin/sh", "-c"];
    this.#spawn("unshare", [...namespace, `ip link set lo up; exec containerd -c ${config} -a ${address}`]);
    await until(() => existsSync(address));
    const inside = `nsenter -t ${this.#children[0]!.pid} -n`;
    const places = `--data-root ${this.path}/data --exec-root ${this.path}/exec -p ${this.path}/pid`;
    const options = `--containerd ${address} -H ${this.host} --cgroup-parent /${CGROUP}`;
    this.#spawn("/bin/sh", ["-c", `exec ${inside} /usr/sbin/dockerd ${places} ${options}`]);
    await until(() => spawnSync("/usr/bin/docker", ["-H", this.host, "version"]).status === 0);
    const input = await busyboxArchive("busybox:latest");
    const load = spawnSync("/usr/bin/docker", ["-H", this.host, "load"], { input, encoding: "utf8" });
    if (load.status !== 0) throw new Error(`the original's docker load: ${load.stderr}`);
  }

  #spawn(command: string, args: readonly string[]): void {
    mkdirSync(this.path, { recursive: true });
    const log = openSync(join(this.path, "log"), "a");
    this.#children.push(spawn(command, args, { stdio: ["ignore", log, log] }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.reverse()) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode === null && child.kill("SIGTERM")) await Promise.race([ended, sleep(15_000)]);
    }
    rmSync(this.path, { recursive: true, force: true });
    for (const folder of globSync(`/sys/fs/cgroup/{,*/}${CGROUP}`)) rmdirSync(folder);
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += POLL) {
    if (waited > START_TIMEOUT) throw new Error("the original did not start in time");
    await sleep(POLL);
  }
}
