// SIGKILL of the daemons under a container that writes a numbered 1 KiB line every 10 ms and serves a published port:
// it goes on, no line is lost or doubled, its port answers, and the daemons find it again.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { alive, Lab, until } from "../lab.ts";

const WRITER = "writer";
const PORT = 18080;
/** Numbers its lines; `usleep` is busybox's, in microseconds. */
const SCRIPT = `
mkdir -p /www; echo served > /www/index.html; httpd -p 80 -h /www
pad=$(printf '%01000d' 0)
n=0; while true; do echo "$n $pad"; n=$((n+1)); usleep 10000; done`;

describe("killing daemons under a running container", () => {
  let lab: Lab;
  let pid: number;

  before(async () => {
    lab = new Lab();
    await lab.engine.start(["--live-restore=true"]);
    await lab.engine.haveBusybox();
    lab.docker("run", "-d", "--name", WRITER, "-p", `${PORT}:80`, "busybox", "sh", "-c", SCRIPT);
    pid = Number(lab.docker("inspect", "-f", "{{.State.Pid}}", WRITER));
    await until("the first lines", () => numbers(lab).length > 10);
  });
  after(async () => await lab[Symbol.asyncDispose]());

  const victims: readonly (readonly [title: string, programs: readonly string[]])[] = [
    ["dockerd", ["dockerd"]],
    ["containerd", ["containerd"]],
    ["dockerd and containerd together", ["dockerd", "containerd"]],
    ["docker-net", ["docker-net"]],
  ];
  for (const [title, programs] of victims) {
    test(`after SIGKILL of ${title} the container goes on, answers, and is found again with every line`, async () => {
      const killed = programs.flatMap((program) => lab.pids(program));
      assert.ok(killed.length >= programs.length, `${title} runs`);
      for (const victim of killed) process.kill(victim, "SIGKILL");
      await sleep(500);
      assert.ok(alive(pid), "the container's process lives");
      if (!programs.includes("docker-net")) assert.equal(fetchPage(lab), "served\n", "its port answers meanwhile");
      if (programs.includes("dockerd")) await lab.engine.start(["--live-restore=true"]);
      await until("docker ps shows it", () =>
        lab.engine.docker("ps", "--format", "{{.Names}}").stdout.includes(WRITER),
      );
      assert.match(lab.docker("ps"), /Up /);
      await until("docker exec works", () => lab.engine.docker("exec", WRITER, "echo", "in").stdout === "in\n");
      await until("the port answers", () => fetchPage(lab) === "served\n");
      assertComplete(numbers(lab));
    });
  }

  test("a container that ends while the daemons are dead shows its true exit code", async () => {
    lab.docker("run", "-d", "--name", "brief", "busybox", "sh", "-c", "sleep 1; exit 42");
    for (const program of ["dockerd", "containerd"]) for (const one of lab.pids(program)) process.kill(one, "SIGKILL");
    await sleep(1500);
    await lab.engine.start(["--live-restore=true"]);
    const code = () =>
      lab.engine.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "brief").stdout.trim();
    await until("the exit is known", () => code() === "exited 42").catch((late) => {
      throw new Error(`${late.message}; docker says: ${code()}\n${lab.log()}`);
    });
  });

  test("no zombie is left anywhere", () => {
    for (const program of ["dockerd", "containerd", "docker-net", "containerd-shim-runc-v2"]) {
      for (const one of lab.pids(program)) assert.ok(alive(one), `${program} ${one}`);
    }
  });
});

function numbers(lab: Lab): number[] {
  const lines = lab.engine.docker("logs", WRITER).stdout.split("\n").filter(Boolean);
  return lines.map((line) => {
    assert.equal(line.length - line.indexOf(" "), 1001, `a whole line: ${line.slice(0, 20)}`);
    return Number(line.slice(0, line.indexOf(" ")));
  });
}

function assertComplete(list: readonly number[]): void {
  assert.deepEqual(list, [...list.keys()], "numbers without gap or repeat");
}

function fetchPage(lab: Lab): string {
  return lab.inside("busybox", "wget", "-q", "-O", "-", `http://127.0.0.1:${PORT}/index.html`).stdout;
}
