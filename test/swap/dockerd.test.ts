// Our dockerd between other people's neighbours: the original clients (28 and 20.10) and ours above it, the original
// containerd with its shim and runc, or ours, below it. Every verb of the client goes through each pair.

import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { layout } from "../../tools/build/paths.ts";
import { busyboxArchive } from "../../tools/start/image.ts";

const START_TIMEOUT_MS = 20_000;
const POLL_MS = 25;
/** Milliseconds after which a command is said to hang. */
const HANG_MS = 10_000;
const COMMAND_TIMEOUT_MS = 30_000;

const CLIENTS: readonly (readonly [title: string, path: string])[] = [
  ["the original docker 28", "/usr/local/bin/docker"],
  ["the original docker 20.10", "/usr/bin/docker"],
  ["our docker", join(layout.bin, "docker")],
];
const CONTAINERDS: readonly (readonly [title: string, path: string])[] = [
  ["the original containerd", "/usr/bin/containerd"],
  ["our containerd", join(layout.bin, "containerd")],
];

interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** A private containerd and dockerd; `none` is the default network, so that nothing of the host's is touched. */
class Pair {
  readonly folder = mkdtempSync(join(tmpdir(), "gantry-dockerd-"));
  readonly #containerd: string;
  readonly #children: ReturnType<typeof spawn>[] = [];

  constructor(containerd: string) {
    this.#containerd = containerd;
  }

  get socket(): string {
    return join(this.folder, "docker.sock");
  }

  get #address(): string {
    return join(this.folder, "c.sock");
  }

  async start(): Promise<void> {
    mkdirSync(join(this.folder, "run"), { recursive: true });
    const config = [
      "version = 2",
      `root = "${this.folder}/c-root"`,
      `state = "${this.folder}/c-state"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]',
      `[grpc]\naddress = "${this.#address}"`,
      `[ttrpc]\naddress = "${this.#address}.ttrpc"`,
      "",
    ];
    writeFileSync(join(this.folder, "config.toml"), config.join("\n"));
    this.#spawn(this.#containerd, ["--config", join(this.folder, "config.toml")]);
    await until("containerd listens", () => existsSync(this.#address));
    this.#spawn(join(layout.bin, "dockerd"), [
      ...["--data-root", join(this.folder, "data"), "--exec-root", join(this.folder, "run")],
      ...["-H", `unix://${this.socket}`, "-p", join(this.folder, "dockerd.pid"), "--live-restore=false"],
      ...["--containerd", this.#address, "--bridge", "none"],
    ]);
    await until("dockerd listens", () => existsSync(this.socket));
    writeFileSync(join(this.folder, "busybox.tar"), await busyboxArchive("busybox:latest"));
  }

  #spawn(program: string, args: readonly string[]): void {
    const log = openSync(join(this.folder, "log"), "a");
    const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
    this.#children.push(spawn(program, args, { stdio: ["ignore", log, log], env }));
  }

  async stop(): Promise<void> {
    for (const child of this.#children.toReversed()) {
      if (child.exitCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
    }
    for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n").toReversed()) {
      const target = line.split(" ")[4];
      if (target?.startsWith(this.folder)) await run("umount", ["-l", target], "");
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  async docker(client: string, args: readonly string[], input = ""): Promise<Outcome> {
    const hangs = setTimeout(() => this.#tellOfHang(args), HANG_MS);
    try {
      return await run(client, ["-H", `unix://${this.socket}`, ...args], input);
    } finally {
      clearTimeout(hangs);
    }
  }

  /** Who is there, what they wait for and what they have open, and what the daemons said last. */
  #tellOfHang(args: readonly string[]): void {
    const script = `ps -eo pid,ppid,etimes,stat,wchan:20,args | grep -v '\\]$' | cut -c1-160
      for pid in $(pgrep -f "${this.folder}|containerd-shim| cat$|^cat$"); do
        echo "== $pid"; ls -l /proc/$pid/fd | cut -d' ' -f9-; done
      find "${this.folder}/run"; tail -n 40 "${this.folder}/log"`;
    const { stdout } = spawnSync("sh", ["-c", script], { encoding: "utf8" });
    console.error(`docker ${args.join(" ")} hangs:\n${stdout}`);
  }

  /** What the socket answers to raw bytes. */
  raw(bytes: string): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(this.socket);
      let answer = "";
      socket.on("data", (piece) => (answer += piece.toString()));
      socket.on("close", () => resolve(answer));
      socket.on("error", () => resolve(answer));
      socket.end(bytes);
    });
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += POLL_MS) {
    if (waited > START_TIMEOUT_MS) throw new Error(`${what}: not within ${START_TIMEOUT_MS} ms`);
    await sleep(POLL_MS);
  }
}

function run(program: string, args: readonly string[], input: string): Promise<Outcome> {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const options = { timeout: COMMAND_TIMEOUT_MS, killSignal: "SIGKILL" as const, maxBuffer: 1 << 26, env };
  return new Promise((resolve) => {
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === "number" ? error.code : 255;
      resolve({ status, stdout, stderr });
    });
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}

interface Step {
  args: string;
  status?: number;
  /** Each must be found in what it prints. */
  says?: readonly RegExp[];
  input?: string;
}

/** In this order: what one makes the next ones use. Words with blanks stand in single quotes. */
const STEPS: readonly Step[] = [
  { args: "version", says: [/Gantry Engine/] },
  { args: "info", says: [/Storage Driver: overlayfs/] },
  { args: "load -i FOLDER/busybox.tar", says: [/Loaded image: busybox:latest/] },
  { args: "images", says: [/busybox\s+latest/] },
  { args: "run --rm busybox sh -c 'echo out; echo err >&2; exit 7'", status: 7, says: [/^out$/m, /^err$/m] },
  { args: "run --rm -i busybox cat", input: "typed\n", says: [/^typed$/m] },
  { args: "run --rm -u nobody -w /tmp -e A=b busybox sh -c 'id -u; pwd; echo $A'", says: [/65534\n\/tmp\nb/] },
  { args: "run --rm --entrypoint echo busybox entry", says: [/^entry$/m] },
  { args: "run --rm --init busybox cat /proc/1/comm", says: [/docker-init/] },
  { args: "run --rm --read-only busybox touch /x", status: 1, says: [/Read-only file system/] },
  { args: "run --rm -m 64m --pids-limit 30 --cpus 0.5 busybox echo limited", says: [/limited/] },
  { args: "run --rm -v FOLDER:/h:ro busybox ls /h/busybox.tar", says: [/busybox.tar/] },
  { args: "run --rm -v kept:/etc busybox cat /etc/passwd", says: [/root:x:0:0/] },
  { args: "volume ls", says: [/local\s+kept/] },
  { args: "volume inspect kept", says: [/volumes\/kept\/_data/] },
  { args: "volume rm kept", says: [/^kept$/m] },
  { args: "run --rm --tmpfs /t busybox sh -c 'mount | grep /t'", says: [/tmpfs on \/t/] },
  { args: "run --rm --network host busybox true" },
  { args: "run --rm busybox nosuchprogram", status: 127, says: [/executable file not found/] },
  { args: "run --rm busybox /etc", status: 126, says: [/permission denied|is a directory/] },
  { args: "run --rm nosuchimage true", status: 125, says: [/pulling from a registry is not supported yet/] },
  { args: "run --nosuchflag busybox", status: 125, says: [/unknown flag: --nosuchflag/] },
  { args: "run -d --name first busybox sh -c 'echo begun; sleep 100'", says: [/^[0-9a-f]{64}$/m] },
  { args: "run --name first busybox true", status: 125, says: [/The container name "\/first" is already in use/] },
  { args: "ps", says: [/first/] },
  { args: "exec first echo inside", says: [/^inside$/m] },
  { args: "exec -i first cat", input: "more\n", says: [/^more$/m] },
  { args: "exec first sh -c 'exit 4'", status: 4 },
  { args: "exec first nosuchprogram", status: 127 },
  { args: "cp first:/etc/passwd FOLDER/copied" },
  { args: "cp first:/nosuch FOLDER/copied", status: 1, says: [/Could not find the file|No such container:path/] },
  { args: "logs first", says: [/^begun$/m] },
  { args: "logs -t --tail 1 first", says: [/^\d{4}-.*Z begun$/m] },
  { args: "run --name kept --log-driver local --log-opt max-size=1k busybox seq 1 200", says: [/^200$/m] },
  { args: "logs --tail 3 kept", says: [/^198\n199\n200$/m] },
  { args: "rm kept" },
  { args: "top first", says: [/sleep 100/] },
  { args: "stats --no-stream first", says: [/first/] },
  { args: "inspect -f '{{.State.Status}}' first", says: [/^running$/m] },
  { args: "pause first" },
  { args: "ps", says: [/\(Paused\)/] },
  { args: "unpause first" },
  { args: "update --memory 100m --memory-swap -1 first" },
  { args: "rm first", status: 1, says: [/cannot remove container "\/?first"|stop the container before/i] },
  { args: "stop -t 0 first", says: [/^first$/m] },
  { args: "wait first", says: [/^137$/m] },
  { args: "start first" },
  { args: "restart -t 0 first" },
  { args: "kill first" },
  { args: "rename first second" },
  { args: "diff second" },
  { args: "export second -o FOLDER/root.tar" },
  { args: "import FOLDER/root.tar made:1", says: [/sha256:[0-9a-f]{64}/] },
  { args: "run --rm made:1 echo imported", says: [/imported/] },
  { args: "rmi made:1", says: [/Untagged: made:1/] },
  { args: "rm second", says: [/^second$/m] },
  { args: "create --name third busybox echo created" },
  { args: "start -a third", says: [/created/] },
  { args: "rm third" },
  { args: "tag busybox other:tag" },
  { args: "history busybox", says: [/busybox-static/] },
  { args: "rmi other:tag", says: [/Untagged: other:tag/] },
  { args: "save busybox -o FOLDER/saved.tar" },
  { args: "rmi busybox", says: [/Deleted: sha256:/] },
  { args: "load -i FOLDER/saved.tar", says: [/Loaded image: busybox:latest/] },
  { args: "network ls", says: [/host/, /none/] },
  { args: "network create more", status: 1, says: [/not supported yet/] },
  { args: "system df", says: [/Images/] },
  { args: "inspect nosuch", status: 1, says: [/No such object: nosuch/] },
  { args: "container prune -f" },
  { args: "ps -aq" },
];

function words(text: string): string[] {
  return [...text.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

for (const [containerdTitle, containerd] of CONTAINERDS) {
  const missing = [containerd, join(layout.bin, "dockerd")].filter((path) => !existsSync(path));
  const skip =
    process.getuid?.() !== 0 ? "needs root" : missing.length > 0 ? `not there: ${missing.join(", ")}` : false;
  describe(`dockerd on ${containerdTitle}`, { skip }, () => {
    const pair = new Pair(containerd);
    before(() => pair.start());
    after(() => pair.stop());
    for (const [title, client] of CLIENTS) verbs(pair, title, client);
    badInput(pair);
  });
}

function verbs(pair: Pair, title: string, client: string): void {
  test(`every verb works for ${title}`, { skip: existsSync(client) ? false : "not there" }, async (context) => {
    for (const step of STEPS) {
      await context.test(`docker ${step.args}`, async () => {
        const args = words(step.args.replaceAll("FOLDER", pair.folder));
        const { status, stdout, stderr } = await pair.docker(client, args, step.input ?? "");
        const printed = stdout + stderr;
        assert.equal(status, step.status ?? 0, printed);
        for (const pattern of step.says ?? []) assert.match(printed, pattern);
      });
    }
    const { stdout } = await pair.docker(client, ["ps", "-aq"]);
    assert.equal(stdout, "", "no container is left");
  });
}

function badInput(pair: Pair): void {
  const head = "Host: x\r\nConnection: close\r\n";
  test("garbage on the socket gets a 400 or is cut off, and the daemon goes on", async () => {
    for (const bytes of ["\u0000\u0001\u0002\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "x".repeat(1 << 20), ""]) {
      const answer = await pair.raw(bytes);
      if (answer !== "") assert.match(answer, /^HTTP\/1\.1 (400|431|505) /);
    }
    assert.match(await pair.raw(`GET /_ping HTTP/1.1\r\n${head}\r\n`), /200 OK[\s\S]*OK$/);
  });

  const requests: readonly (readonly [line: string, status: number, body: string])[] = [
    ["GET /nope", 404, '{"message":"page not found"}'],
    ["GET /v9.99/info", 400, "client version 9.99 is too new. Maximum supported API version is 1.51"],
    ["GET /v1.12/info", 400, "client version 1.12 is too old. Minimum supported API version is 1.40"],
    ["GET /containers/nosuch/json", 404, '{"message":"No such container: nosuch"}'],
    ["GET /containers/json?filters=%7B", 400, "invalid filter"],
    ["GET /images/nosuch/json", 404, '{"message":"No such image: nosuch:latest"}'],
  ];
  for (const [line, status, body] of requests) {
    test(`${line} is answered ${status} with a sentence, as plain application/json`, async () => {
      const answer = await pair.raw(`${line} HTTP/1.1\r\n${head}\r\n`);
      assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(answer, /\r\nContent-Type: application\/json\r\n/);
      assert.ok(answer.includes(body), answer);
    });
  }

  test("broken JSON is a 400 and makes nothing", async () => {
    const body = '{"Image": "busy';
    const type = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
    const answer = await pair.raw(`POST /containers/create HTTP/1.1\r\n${head}${type}\r\n${body}`);
    assert.match(answer, /^HTTP\/1\.1 400 /);
    assert.match(answer, /invalid JSON/);
  });

  test("a truncated archive is refused and leaves no image", async () => {
    const half = join(pair.folder, "half.tar");
    writeFileSync(half, readFileSync(join(pair.folder, "busybox.tar")).subarray(0, 300_000));
    const [, client] = CLIENTS.find(([, path]) => existsSync(path))!;
    const before = (await pair.docker(client, ["images", "-q"])).stdout;
    const { status, stderr } = await pair.docker(client, ["load", "-i", half]);
    assert.equal(status, 1);
    assert.match(stderr, /unexpected EOF/);
    assert.equal((await pair.docker(client, ["images", "-q"])).stdout, before);
  });
}
