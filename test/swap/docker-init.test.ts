// docker-init beside Debian's tini: the same command lines, the same output (but for pids and the program's name) and
// the same exit codes. Each case runs as a plain process and, where the case says so, as PID 1 of a PID namespace.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const built = join(root, "dist/bin/docker-init");
const original = "/usr/bin/tini";
const skip = existsSync(built) && existsSync(original) ? false : "docker-init is not built or tini is not installed";
const folder = mkdtempSync(join(tmpdir(), "gantry-init-"));
// The name a program is called by stands in its usage text, so both are called tini.
const ours = join(folder, "tini");
symlinkSync(built, ours);
const script = join(folder, "no-magic");
writeFileSync(script, 'echo "by sh: $1"\n', { mode: 0o755 });
after(() => rmSync(folder, { recursive: true }));

interface Case {
  title: string;
  args: string[];
  env?: Record<string, string>;
  /** Also as PID 1. */
  first?: boolean;
}

const sh = (text: string) => ["--", "sh", "-c", text];
const cases: Case[] = [
  { title: "no program prints usage and gives 1", args: [] },
  { title: "an unknown option prints usage and gives 1", args: ["-x", "true"] },
  { title: "--version beside another word is an unknown option", args: ["--version", "x"] },
  { title: "-h prints usage on stdout and gives 0", args: ["-h"] },
  { title: "the child's exit code is passed on", args: sh("exit 7"), first: true },
  { title: "a child killed by a signal gives 128 and the signal", args: sh("kill -9 $$"), first: true },
  { title: "a missing program gives 127", args: ["/nonexistent/program"], first: true },
  { title: "a missing name in PATH gives 127", args: ["no-such-program-here"] },
  { title: "an empty name gives 127", args: [""] },
  { title: "a file that is not executable gives 126", args: ["/etc/passwd"] },
  { title: "a directory gives 126", args: ["/etc"] },
  { title: "a script without an interpreter line is given to sh", args: [script, "--", "-v"] },
  { title: "options after the program are still ours without --", args: ["true", "-vvv"] },
  { title: "POSIXLY_CORRECT ends options at the program", args: ["echo", "-v"], env: { POSIXLY_CORRECT: "1" } },
  { title: "words after -- belong to the program", args: ["echo", "--", "-v", "-x"] },
  { title: "-e remaps an exit code to 0", args: ["-e", "3", ...sh("exit 3")] },
  { title: "-e twice remaps both", args: ["-e", "3", "-e143", ...sh("kill -TERM $$")] },
  { title: "-e refuses what is no exit code", args: ["-e", "256", "true"] },
  { title: "-e refuses what is no number", args: ["-e", "x", "true"] },
  { title: "-e without a value prints usage", args: ["-e"] },
  { title: "-p takes a signal's name", args: ["-p", "SIGKILL", "true"] },
  { title: "-p refuses a short name", args: ["-p", "KILL", "true"] },
  { title: "-p refuses a number", args: ["-p", "9", "true"] },
  { title: "-p refuses a signal outside of its table", args: ["-p", "SIGIO", "true"] },
  { title: "-vvv tells the whole story", args: ["-vvv", ...sh("exit 2")], first: true },
  { title: "-s becomes a subreaper and warns about nothing", args: ["-s", "-vvv", "true"] },
  { title: "TINI_SUBREAPER of any value is -s", args: ["true"], env: { TINI_SUBREAPER: "" } },
  { title: "TINI_VERBOSITY 0 is silent", args: ["true"], env: { TINI_VERBOSITY: "0" } },
  { title: "TINI_VERBOSITY that is no number is 0", args: ["true"], env: { TINI_VERBOSITY: "loud" } },
  { title: "-w names an orphan that is reaped", args: ["-w", ...sh("(sleep 0.1 &); sleep 0.4")], first: true },
  {
    title: "the child begins with the mask and dispositions we were given",
    args: sh("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"),
  },
  { title: "the child leads a process group of its own", args: sh('[ "$(ps -o pgid= -p $$ | tr -d " ")" = $$ ]') },
  { title: "the child has no descriptor of ours", args: sh("ls /proc/self/fd | wc -l") },
];

function run(program: string, one: Case, asFirst: boolean) {
  const env = { PATH: process.env["PATH"] ?? "", ...one.env };
  const line = asFirst ? ["unshare", "-fp", "--mount-proc", program, ...one.args] : [program, ...one.args];
  const result = spawnSync(line[0]!, line.slice(1), { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const clean = (text: string) =>
    text
      .replace(/tini \(\d+\)/g, "tini (PID)")
      // Written by the child, into a buffer that tini loses over exec when stdout is no terminal.
      .replace(/^.*tcsetpgrp failed: no tty.*\n/gm, "")
      .replace(/^.*\/tini: /gm, "tini: ")
      .replace(/pid[:=]? ?'?\d+'?/g, "pid PID")
      .replaceAll(" - git.de40ad0", "");
  return { code: result.status, out: clean(result.stdout), err: clean(result.stderr) };
}

for (const one of cases) {
  test(one.title, { skip }, () => {
    assert.deepEqual(run(ours, one, false), run(original, one, false));
    if (one.first === true) assert.deepEqual(run(ours, one, true), run(original, one, true));
  });
}

test("--version is the line that dockerd parses", { skip }, () => {
  const result = spawnSync(built, ["--version"], { encoding: "utf8" });
  assert.match(result.stdout, /^tini version \d+\.\d+\.\d+ - git\.[0-9a-f]{7}\n$/);
  assert.equal(result.status, 0);
});

test("-l prints a licence and gives 0", { skip }, () => {
  const result = spawnSync(built, ["-l"], { encoding: "utf8" });
  assert.match(result.stdout, /Apache License/);
  assert.equal(result.status, 0);
});

/** Starts a program that says "ready", sends us the signal, and gives what came of it. */
async function signalled(program: string, args: string[], signal: NodeJS.Signals) {
  const child = spawn(program, args, { env: { PATH: process.env["PATH"] ?? "", TINI_VERBOSITY: "0" } });
  let out = "";
  child.stdout.on("data", (part: Buffer) => {
    out += part.toString();
    if (out === "ready\n") child.kill(signal);
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  return { code, out };
}

const trapping = (signal: string) =>
  `sleep 5 & trap 'echo got ${signal}; kill -9 $!; exit 9' ${signal}; echo ready; wait $!`;

for (const signal of ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "PIPE", "WINCH", "CONT"] as const) {
  test(`SIG${signal} is passed on to the child`, { skip }, async () => {
    for (const program of [ours, original]) {
      const result = await signalled(program, sh(trapping(signal)), `SIG${signal}`);
      assert.deepEqual(result, { code: 9, out: `ready\ngot ${signal}\n` });
    }
  });
}

test("without -g a grandchild does not get the signal, with -g and its variable it does", { skip }, async () => {
  const text =
    "sh -c 'trap \"echo grandchild; exit 0\" TERM; echo ready; sleep 0.5 & wait $!; wait' & trap : TERM; wait; wait";
  for (const program of [ours, original]) {
    const alone = await signalled(program, sh(text), "SIGTERM");
    const group = await signalled(program, ["-g", ...sh(text)], "SIGTERM");
    assert.deepEqual([alone.out, group.out], ["ready\n", "ready\ngrandchild\n"]);
  }
});

test("on a terminal the child is in the foreground and reads from it", { skip }, () => {
  for (const program of [ours, original]) {
    const inner = `${program} -- sh -c 'read x; echo "read $x"'`;
    const result = spawnSync("script", ["-qefc", inner, "/dev/null"], {
      input: "hello\n",
      encoding: "utf8",
      env: { PATH: process.env["PATH"] ?? "", TINI_VERBOSITY: "0" },
    });
    assert.match(result.stdout, /read hello/);
    assert.equal(result.status, 0);
  }
});

test("as PID 1 it ends with the child and the kernel kills the rest", { skip }, () => {
  for (const program of [ours, original]) {
    const started = process.hrtime.bigint();
    const args = ["-fp", "--mount-proc", program, ...sh("sleep 30 & exit 5")];
    assert.equal(spawnSync("unshare", args).status, 5);
    assert.ok(process.hrtime.bigint() - started < 5_000_000_000n);
  }
});
