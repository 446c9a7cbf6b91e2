// Logs and foreground output through our whole chain, with real clients: following over rotation and compression, slow
// readers, both formats.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { layout } from "../../tools/build/paths.ts";
import { Lab, until } from "../lab.ts";

const CLIENTS = [join(layout.bin, "docker"), "/usr/local/bin/docker", "/usr/bin/docker"].filter(existsSync);
const ready = existsSync(join(layout.bin, "dockerd")) && process.getuid?.() === 0;
const skip = ready ? false : "needs a build and root";
let lab: Lab;

before(async () => {
  if (!ready) return;
  lab = new Lab();
  await lab.engine.start(["--live-restore=true"]);
  await lab.engine.haveBusybox();
});
after(async () => {
  if (ready) await lab[Symbol.asyncDispose]();
});

/** Starts a client; `output` grows as it prints. */
function client(program: string, ...args: string[]) {
  const env = {
    PATH: process.env["PATH"],
    HOME: "/nonexistent",
    DOCKER_HOST: lab.engine.host,
    DOCKER_CLI_HINTS: "false",
  };
  const child: ChildProcess = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  const result = { child, output: "", errors: "", ended: new Promise((resolve) => child.once("close", resolve)) };
  child.stdout!.on("data", (piece) => {
    result.output += piece;
  });
  child.stderr!.on("data", (piece) => {
    result.errors += piece;
  });
  return result;
}

const folderOf = (id: string) => join(lab.engine.places.data, "containers", id);
const numbers = (count: number) => Array.from({ length: count }, (_, at) => `number ${at + 1}\n`).join("");
/** Prints so many numbered lines, some hundred at a time. */
const counting = (count: number) =>
  `i=0; while [ $i -lt ${count} ]; do i=$((i+1)); echo number $i; [ $((i%300)) = 0 ] && usleep 20000; done; true`;

for (const driver of ["json-file", "local"]) {
  test(`${driver}: clients that follow see every line once, over rotation and compression`, { skip }, async () => {
    const options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=60", "--log-opt", "compress=true"];
    const script = `sleep 0.5; ${counting(6000)}; sleep 0.2`;
    const run = ["run", "-d", "--network", "none", "--log-driver", driver, ...options, "busybox", "sh", "-c", script];
    const id = lab.docker(...run).trim();
    const followers = CLIENTS.map((program) => client(program, "logs", "-f", id));
    await sleep(700);
    const late = client(CLIENTS[0]!, "logs", "-f", "--tail", "1000000", id);
    for (const follower of [...followers, late]) {
      await follower.ended;
      assert.equal(follower.errors, "");
      assert.equal(follower.output, numbers(6000));
    }
    const folder = driver === "local" ? join(folderOf(id), "local-logs") : folderOf(id);
    await until("rotated files are compressed", () => {
      const names = readdirSync(folder).filter((name) => name.includes("log"));
      return names.some((name) => name.endsWith(".gz")) && !names.some((name) => /\.\d+$|compressed|next/.test(name));
    });
    assert.equal(lab.docker("logs", id), numbers(6000));
    assert.equal(
      lab.docker("logs", "--tail", "3000", id),
      numbers(6000)
        .split(/(?<=\n)/)
        .slice(-3000)
        .join(""),
    );
    lab.docker("rm", id);
  });

  test(`${driver}: since, until, timestamps, details and streams choose what is shown`, { skip }, async () => {
    const script = "echo a; sleep 1.2; echo b; echo e >&2; sleep 1.2; echo c";
    const labels = ["--label", "com.example=x y", "--log-opt", "labels=com.example"];
    const id = lab
      .docker("run", "-d", "--network", "none", "--log-driver", driver, ...labels, "busybox", "sh", "-c", script)
      .trim();
    lab.docker("wait", id);
    const times = lab
      .docker("logs", "-t", id)
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" ")[0]!);
    assert.equal(times.length, 3);
    for (const time of times) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    assert.equal(lab.docker("logs", "--since", times[1]!, id), "b\nc\n");
    assert.equal(lab.docker("logs", "--until", times[1]!, id), "a\nb\n");
    assert.equal(
      lab.docker("logs", "--details", id),
      "com.example=x%20y a\ncom.example=x%20y b\ncom.example=x%20y c\n",
    );
    assert.equal(lab.engine.docker("logs", id).stderr, "e\n");
    assert.equal(lab.docker("inspect", "-f", "{{.LogPath}}", id).trim() !== "", driver === "json-file");
    lab.docker("rm", id);
  });
}

test("a follower goes on when somebody empties the log, and when somebody deletes it", { skip }, async () => {
  const id = lab
    .docker(
      "run",
      "-d",
      "--network",
      "none",
      "busybox",
      "sh",
      "-c",
      "i=0; while :; do i=$((i+1)); echo $i; usleep 100000; done",
    )
    .trim();
  const log = join(folderOf(id), `${id}-json.log`);
  await until("some lines", () => existsSync(log) && statSync(log).size > 500);
  const follower = client(CLIENTS[0]!, "logs", "-f", id);
  await until("it follows", () => follower.output.split("\n").length > 5);
  truncateSync(log);
  const before = follower.output.length;
  await until("it follows on", () => follower.output.length > before + 20);
  const { unlinkSync } = await import("node:fs");
  unlinkSync(log);
  await until("there is a new one", () => existsSync(log));
  const then = follower.output.length;
  await until("it follows that", () => follower.output.length > then + 20);
  const seen = follower.output.trimEnd().split("\n").map(Number);
  assert(
    seen.every((number, at) => at === 0 || number > seen[at - 1]!),
    "nothing comes twice",
  );
  lab.docker("rm", "-f", id);
  await follower.ended;
});

test("a slow reader of a foreground container gets every byte, though dockerd keeps none of them", {
  skip,
}, async () => {
  const line = "0123456789".repeat(10);
  const args = ["run", "--rm", "--network", "none", "busybox", "sh", "-c", `yes ${line} | head -c 12000000`];
  const env = { PATH: process.env["PATH"], HOME: "/nonexistent", DOCKER_HOST: lab.engine.host };
  for (const program of CLIENTS) {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "inherit"] });
    const hash = createHash("sha256");
    let bytes = 0;
    child.stdout.on("data", (piece: Buffer) => {
      hash.update(piece);
      bytes += piece.length;
      // A quarter of what comes, then a rest.
      if (bytes % 4 !== 0) return;
      child.stdout.pause();
      setTimeout(() => child.stdout.resume(), 10);
    });
    child.stdout.pause();
    await sleep(1500);
    child.stdout.resume();
    await new Promise((resolve) => child.once("close", resolve));
    const expected = createHash("sha256").update(`${line}\n`.repeat(120_000).slice(0, 12_000_000)).digest("hex");
    assert.deepEqual([bytes, hash.digest("hex"), child.exitCode], [12_000_000, expected, 0], program);
  }
});

test("a container whose client stalls ends when it ends, and others see it", { skip }, async () => {
  const args = ["run", "--name", "stalled", "--network", "none", "busybox", "sh", "-c", "yes | head -c 50000000"];
  const env = { PATH: process.env["PATH"], HOME: "/nonexistent", DOCKER_HOST: lab.engine.host };
  const child = spawn(CLIENTS[0]!, args, { env, stdio: ["ignore", "pipe", "ignore"] });
  child.stdout.pause();
  const status = () => lab.engine.docker("inspect", "-f", "{{.State.Status}}", "stalled").stdout.trim();
  await until("its end", () => status() === "exited", 30_000);
  assert.equal(child.exitCode, null, "the client still has its bytes to read");
  let bytes = 0;
  child.stdout.on("data", (piece: Buffer) => {
    bytes += piece.length;
  });
  child.stdout.resume();
  await new Promise((resolve) => child.once("close", resolve));
  assert.deepEqual([bytes, child.exitCode], [50_000_000, 0]);
  lab.docker("rm", "stalled");
});

test("with the driver none nothing is kept, and said so", { skip }, () => {
  const id = lab.docker("run", "-d", "--network", "none", "--log-driver", "none", "busybox", "echo", "x").trim();
  lab.docker("wait", id);
  const { status, stderr } = lab.engine.docker("logs", id);
  assert.equal(status, 1);
  assert.match(stderr, /configured logging driver does not support reading/);
  assert.ok(readdirSync(folderOf(id)).every((name) => !name.includes("log")));
  assert.equal(
    lab.docker("run", "--rm", "--network", "none", "--log-driver", "none", "busybox", "echo", "seen"),
    "seen\n",
  );
  lab.docker("rm", id);
});

test("dockerd's restart in the middle loses no line of either format and compresses what was rotated meanwhile", {
  skip,
}, async () => {
  const ids = ["json-file", "local"].map((driver) => {
    const options = ["--log-opt", "max-size=20k", "--log-opt", "max-file=90", "--log-opt", "compress=true"];
    return lab
      .docker(
        "run",
        "-d",
        "--network",
        "none",
        "--log-driver",
        driver,
        ...options,
        "busybox",
        "sh",
        "-c",
        `${counting(9000)}; sleep 1000`,
      )
      .trim();
  });
  const [pid] = lab.pids("dockerd");
  process.kill(pid!, "SIGKILL");
  await sleep(1000);
  await lab.engine.start(["--live-restore=true"]);
  for (const [at, id] of ids.entries()) {
    const folder = at === 1 ? join(folderOf(id), "local-logs") : folderOf(id);
    await until("all lines", () => lab.docker("logs", "--tail", "1", id) === "number 9000\n");
    await until("compression", () => !readdirSync(folder).some((name) => /log\.\d+$/.test(name)));
    assert.equal(lab.docker("logs", id), numbers(9000));
    assert.ok(readFileSync(join(folder, readdirSync(folder).find((name) => name.endsWith(".gz"))!)).length > 100);
  }
  lab.docker("rm", "-f", ...ids);
});
