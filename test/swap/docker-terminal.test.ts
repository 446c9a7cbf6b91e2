// docker with a terminal and with signals, ours beside the original client, at one original engine: size, raw mode,
// detaching, exit codes, and signals that reach the container's process.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ORIGINAL, OriginalEngine, run, until } from "./original-engine.ts";

const OURS = path.resolve(process.env["GANTRY_BIN"] ?? "dist/bin", "docker");
const NEEDED = [ORIGINAL, OURS, "/usr/sbin/dockerd", "/usr/bin/containerd", "/bin/busybox", "/usr/bin/script"];
const MISSING = NEEDED.filter((file) => !existsSync(file));
const ENGINE = new OriginalEngine();
const RUN_TIMEOUT_MS = 20_000;

/** A client under a terminal of 33 rows and 77 columns, which `script` makes. */
class Session {
  output = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<number>;

  constructor(client: string, args: readonly string[]) {
    const words = [client, ...args].map((word) => `'${word}'`).join(" ");
    const env = { PATH: process.env["PATH"], HOME: "/nonexistent", DOCKER_HOST: ENGINE.host, TERM: "dumb" };
    const command = ["-qefc", `stty rows 33 cols 77; exec ${words}`, "/dev/null"];
    this.#child = spawn("script", command, { env, timeout: RUN_TIMEOUT_MS });
    this.#child.stdout!.on("data", (part) => {
      this.output += String(part);
    });
    this.#ended = new Promise((resolve) => this.#child.once("close", (code) => resolve(code ?? 255)));
  }

  type(keys: string): void {
    this.#child.stdin!.write(keys);
  }

  heard(text: string): Promise<void> {
    return until(() => this.output.includes(text));
  }

  end(): Promise<number> {
    return this.#ended;
  }
}

describe("docker with a terminal", { skip: MISSING.length > 0 && `needs ${MISSING.join(", ")}` }, () => {
  before(() => ENGINE.start());
  after(() => ENGINE.stop());
  for (const [name, client] of [["the original", ORIGINAL] as const, ["ours", OURS] as const]) {
    describe(name, () => stories(client));
  }
});

function stories(client: string): void {
  const quiet = ["--rm", "--network", "none"];

  test("run -it gives the process a terminal of the user's size, its keys as they are, and its exit code", async () => {
    const session = new Session(client, ["run", ...quiet, "-it", "busybox", "sh", "-c", "tty; sh; exit 5"]);
    await session.heard("/ # ");
    session.type("stty size\r");
    await session.heard("33 77");
    session.type("sleep 100\r");
    await sleep(300);
    session.type("\u0003"); // the process gets it, not the client
    session.type("echo still here | tr a-z A-Z\r");
    await session.heard("STILL HERE");
    session.type("exit\r");
    assert.equal(await session.end(), 5);
    assert.match(session.output, /\/dev\/(pts\/0|console)/);
  });

  test("the detach keys leave the container running, and attach joins it again", async () => {
    const session = new Session(client, ["run", ...quiet, "-it", "--name", "left", "busybox", "sh"]);
    await session.heard("/ # ");
    session.type("\u0010");
    await sleep(50);
    session.type("\u0011");
    assert.equal(await session.end(), 0);
    const running = await run(client, ["inspect", "-f", "{{.State.Running}}", "left"], ENGINE.host);
    assert.equal(running.stdout, "true\n");
    const again = new Session(client, ["attach", "--detach-keys", "ctrl-x,x", "left"]);
    await sleep(500);
    again.type("echo joined | tr a-z A-Z\r");
    await again.heard("JOINED");
    again.type("\u0018x");
    assert.equal(await again.end(), 1);
    assert.match(again.output, /read escape sequence/);
    await run(client, ["rm", "-f", "left"], ENGINE.host);
  });

  test("exec -it gives a terminal and the exit code", async () => {
    await run(client, ["run", "-d", "--network", "none", "--name", "host", "busybox", "sleep", "100"], ENGINE.host);
    const session = new Session(client, ["exec", "-it", "host", "sh", "-c", "sleep 0.5; stty size; exit 9"]);
    assert.equal(await session.end(), 9);
    assert.match(session.output, /33 77/);
    await run(client, ["rm", "-f", "host"], ENGINE.host);
  });

  test("a signal goes to the container's process, whose exit code comes back", async () => {
    const env = { PATH: process.env["PATH"], HOME: "/nonexistent", DOCKER_HOST: ENGINE.host };
    const script = 'trap "echo told; exit 9" TERM; echo ready; while :; do sleep 0.1; done';
    const child = spawn(client, ["run", ...quiet, "busybox", "sh", "-c", script], { env, timeout: RUN_TIMEOUT_MS });
    let output = "";
    child.stdout.on("data", (part) => {
      output += String(part);
    });
    const ended = new Promise<number | null>((resolve) => child.once("close", (code) => resolve(code)));
    await until(() => output.includes("ready"));
    child.kill("SIGTERM");
    assert.equal(await ended, 9);
    assert.equal(output, "ready\ntold\n");
  });
}
