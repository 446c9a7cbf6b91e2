// `npm start`: from a fresh checkout to a running container. Builds, starts a private engine, puts a busybox image in
// place, and shows which process talks to which. With arguments it passes them to docker: npm start -- run busybox ls
// `npm stop` (--stop) ends the engine.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { installPackages } from "../build/packages.ts";
import { layout } from "../build/paths.ts";
import { Engine } from "./engine.ts";
import { processTree } from "./tree.ts";

const here = dirname(fileURLToPath(import.meta.url));
const DEMO = "gantry-demo";

if (process.getuid?.() !== 0) {
  process.stderr.write("npm start needs root: a container engine makes namespaces, mounts and cgroups.\n");
  process.exit(1);
}
const engine = new Engine({
  data: "/var/lib/gantry",
  run: "/run/gantry",
  bridge: "gantry0",
  subnet: "172.29.0.1/16",
});
const args = process.argv.slice(2);
if (args[0] === "--stop") {
  process.stdout.write((await engine.stop()) ? "The engine has ended.\n" : "No engine was running.\n");
  process.exit(0);
}
installPackages(["busybox-static"], ["/bin/busybox"]);
const build = spawnSync(process.execPath, [join(here, "../build/main.ts")], { stdio: ["ignore", 2, 2] });
if (build.status !== 0) process.exit(build.status ?? 1);
await engine.start();
await engine.haveBusybox();
const docker = join(layout.bin, "docker");
if (args.length > 0) {
  const run = spawnSync(docker, ["-H", engine.host, ...args], { stdio: "inherit" });
  process.exit(run.status ?? 128);
}
demonstrate();

function demonstrate(): void {
  const hello = engine.docker("run", "--rm", "busybox", "echo", "hello from a container");
  if (hello.status !== 0) fail(hello.stderr);
  process.stdout.write(hello.stdout);
  engine.docker("rm", "-f", DEMO);
  const demo = engine.docker("run", "-d", "--name", DEMO, "busybox", "sleep", "600");
  if (demo.status !== 0) fail(demo.stderr);
  const pid = Number(engine.docker("inspect", "-f", "{{.State.Pid}}", DEMO).stdout);
  process.stdout.write(`\n${processTree(engine.pid!, pid)}\n`);
  engine.docker("rm", "-f", DEMO);
  const short = docker.replace(`${layout.root}/`, "");
  process.stdout.write(
    [
      "Try next:",
      "  npm start -- run -it --rm busybox sh",
      `  export DOCKER_HOST=${engine.host}; ${short} run -d -p 8080:80 busybox httpd -f; ${short} ps`,
      "  npm stop    (ends this private engine; its images stay in /var/lib/gantry)",
      "",
    ].join("\n"),
  );
}

function fail(reason: string): never {
  const log = readFileSync(join(engine.places.run, "dockerd.log"), "utf8").split("\n").slice(-10).join("\n");
  process.stderr.write(`${reason}\nThe end of dockerd's log:\n${log}\n`);
  process.exit(1);
}
