// The real Docker with our shim: dockerd's own containerd finds it first on its PATH. The same stories under the
// original's shim, word for word.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { layout } from "../../tools/build/paths.ts";
import { ORIGINALS, RuntimeEngine } from "./runtime-engine.ts";

const SHIM = join(layout.bin, "containerd-shim-runc-v2");
const missing = [SHIM, ...ORIGINALS].filter((path) => !existsSync(path));
const skip = missing.length > 0 ? `not there: ${missing.join(", ")}` : process.getuid?.() !== 0 ? "needs root" : false;
const TICKS = "sh -c 'i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.1; done'";
const STATE = "$D inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}' $N";
const RUN = "$D run --network none $R busybox";
const START = "$D run --network none -d $R busybox";

const stories: readonly [string, string][] = [
  ["output, errors and exit codes", `${RUN} sh -c 'echo out; sleep 0.3; echo err >&2; exit 7'; echo $?; ${STATE}`],
  ["input, and its end", `seq 1 20000 | $D run --network none -i $R busybox sh -c 'wc -l; exit 3'; echo $?`],
  ["a program that is missing", `${RUN} nothing; echo $?; ${STATE} | grep -o '^created 127'`],
  ["a program that may not be executed", `${RUN} /etc; echo $?`],
  [
    "a terminal",
    `script -qefc "$D run --network none -t $R busybox sh -c 'tty; stty size; exit 4'" /dev/null; echo $?`,
  ],
  ["exec", `${START} sleep 900 >/dev/null; $D exec $N sh -c 'echo in; exit 5'; echo $?; $D exec $N nothing; echo $?`],
  [
    "exec with input, detached, with a terminal, as somebody",
    `${START} sleep 900 >/dev/null; echo given | $D exec -i $N cat; $D exec -d $N sleep 50; $D exec -u 7:8 $N id -u;
     script -qefc "$D exec -t $N tty" /dev/null; $D exec -w /etc -e A=b $N sh -c 'pwd; echo $A'; echo $?`,
  ],
  [
    "attach sees what comes, and the end",
    `${START} sh -c 'sleep 1; echo one; sleep 0.5; echo two; sleep 0.5; exit 6' >/dev/null;
     $D attach --no-stdin $N; echo $?; ${STATE}`,
  ],
  [
    "stop with a handler, and without",
    `${START} sh -c 'trap "exit 9" TERM; while :; do sleep 0.1; done' >/dev/null;
     sleep 0.5; $D stop -t 5 $N >/dev/null; ${STATE}; $D rm $N >/dev/null; ${START} sleep 900 >/dev/null;
     $D stop -t 1 $N >/dev/null; ${STATE}`,
  ],
  [
    "restart keeps the log",
    `${START} sh -c 'echo once; sleep 900' >/dev/null; sleep 0.3; $D restart -t 0 $N >/dev/null;
     sleep 0.3; $D logs $N; ${STATE}`,
  ],
  [
    "kill with signals",
    `${START} sh -c 'trap "echo usr" USR1; while :; do sleep 0.1; done' >/dev/null; sleep 0.3;
     $D kill -s USR1 $N >/dev/null; sleep 0.3; $D logs $N; $D kill $N >/dev/null; ${STATE}; $D kill $N; echo $?`,
  ],
  [
    "pause, and what is refused then",
    `${START} sleep 900 >/dev/null; $D pause $N >/dev/null; ${STATE}; $D exec $N true; echo $?;
     $D pause $N; echo $?; $D unpause $N >/dev/null; ${STATE}; $D unpause $N; echo $?`,
  ],
  ["top", `${START} sleep 900 >/dev/null; $D top $N -o comm,args | tail -n 1; $D top $N | head -n 1 | tr -s ' '`],
  [
    "stats",
    `$D run --network none -d -m 50m $R busybox sleep 900 >/dev/null;
     $D stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' $N | sed 's/^[0-9.]*[KM]iB/N/'`,
  ],
  [
    "update",
    `$D run --network none -d -m 50m $R busybox sleep 900 >/dev/null;
     $D update -m 40m --memory-swap 80m --cpus 0.5 $N >/dev/null; $D exec $N true; echo $?;
     $D inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}' $N; $D update -m 1 $N; echo $?`,
  ],
  [
    "wait, inspect and rm",
    `${START} sh -c 'sleep 0.3; exit 8' >/dev/null; $D wait $N; ${STATE}; $D rm $N >/dev/null; $D wait $N; echo $?`,
  ],
  ["an init of Docker's", `${RUN.replace("$R", "--init $R")} sh -c 'readlink /proc/1/exe; exit 2'; echo $?`],
  [
    "events",
    `since=$(date +%s.%N); ${START} true >/dev/null; $D wait $N >/dev/null;
     $D events --since $since --until $(date +%s.%N) --filter container=$N --format '{{.Action}}' | sort`,
  ],
  [
    "rm -f of one that runs",
    `${START} sleep 900 >/dev/null; $D rm -f $N >/dev/null; echo $?; $D inspect $N >/dev/null 2>&1; echo $?`,
  ],
  ["--rm", `${RUN.replace("$R", "--rm $R")} true; echo $?; $D inspect $N >/dev/null 2>&1; echo $?`],
  ["a megabyte of log", `${RUN} sh -c 'yes 0123456789abcdef | head -c 1000000' | md5sum; $D logs $N | md5sum`],
];

describe("the real Docker under our shim", { skip }, () => {
  const engines = {
    theirs: new RuntimeEngine({ remap: false }),
    ours: new RuntimeEngine({ remap: false, shim: SHIM }),
  };
  before(async () => {
    await engines.theirs.start();
    await engines.ours.start();
  });
  after(async () => {
    await engines.theirs[Symbol.asyncDispose]();
    await engines.ours[Symbol.asyncDispose]();
  });

  for (const [what, story] of stories) {
    test(`${what}: the same words as under the original's shim`, () => {
      const said = engines.ours.tell(story, "runc");
      assert.equal(said, engines.theirs.tell(story, "runc"));
      assert.notEqual(said.trim(), "");
    });
  }

  test("a kill for want of memory is known when the container has ended, the original's shim permitting", () => {
    const greedy = "-m 20m --memory-swap 20m $R busybox sh -c 'tail -c 100m /dev/zero'";
    const story = `$D run --network none ${greedy}; echo $?; ${STATE}`;
    const said = engines.ours.tell(story, "runc");
    const exited = "137\nexited 137";
    assert.equal(said, `${exited} true \n`);
    // It does not order this event before the exit, and so dockerd may not know yet.
    assert.match(engines.theirs.tell(story, "runc"), new RegExp(`^${exited} (true|false) \n$`));
  });

  test("a killed dockerd finds containers, exit codes and whole logs again", async () => {
    const engine = engines.ours;
    const names = ["-live", "-ended"].map((suffix) => `restore${suffix}`);
    const docker = `/usr/bin/docker -H unix://${engine.path}/d.sock`;
    const [live, ended] = names;
    const start = (name: string, command: string) =>
      engine.tell(`${docker} run --network none -d --name ${name} --runtime runc busybox ${command}`, "runc");
    start(live!, TICKS);
    start(ended!, "sh -c 'sleep 1; exit 11'");
    await engine.killDaemon();
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await engine.startDaemon();
    const state = engine.tell(`${docker} inspect -f '{{.State.Status}} {{.State.ExitCode}}' ${live} ${ended}`, "runc");
    assert.equal(state, "running 0\nexited 11\n");
    const ticks = engine.tell(`sleep 0.5; ${docker} logs ${live}`, "runc").trim().split("\n");
    for (const [at, line] of ticks.entries()) assert.equal(line, `tick ${at + 1}`);
    assert(ticks.length > 25);
    assert.match(engine.tell(`${docker} exec ${live} echo yes`, "runc"), /^yes$/m);
    engine.tell(`${docker} rm -f ${live} ${ended}`, "runc");
  });

  test("it was our shim, and none is left", () => {
    const running = (path: string) => shims(path).length;
    const { ours } = engines;
    const docker = `/usr/bin/docker -H unix://${ours.path}/d.sock`;
    ours.tell(`${docker} run --network none -d --name witness --runtime runc busybox sleep 900`, "runc");
    assert(shims(ours.path).every((pid) => readFileSync(`/proc/${pid}/comm`, "utf8") === "containerd-shim\n"));
    assert.equal(running(ours.path), 1);
    // By its inode: the path is that of a copy of the mount.
    const { ino } = statSync(join(layout.bin, "containerd-shim-runc-v2"));
    assert.match(readFileSync(`/proc/${shims(ours.path)[0]}/maps`, "utf8"), new RegExp(` ${ino} `));
    ours.tell(`${docker} rm -f witness`, "runc");
    assert.equal(running(ours.path), 0);
  });
});

function shims(path: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const line = readFileSync(`/proc/${name}/cmdline`, "utf8");
        return line.includes("containerd-shim") && line.includes(`${path}/containerd.sock`);
      } catch {
        return false;
      }
    })
    .map(Number);
}
