// Our ctr beside the original, command by command, on a private instance of the original containerd: outputs,
// complaints and exit codes must be equal but for times, ids of processes and the order of labels.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { busyboxArchive } from "../../tools/start/image.ts";
import { GrpcClient } from "../../wire/grpc/client.ts";

const ORIGINAL = "/usr/bin/ctr";
const DAEMON = "/usr/bin/containerd";
const able = existsSync(ORIGINAL) && existsSync(DAEMON) && process.getuid?.() === 0;
const skip = able ? false : "needs Debian's containerd and root";
const BOX = "docker.io/library/busybox:latest";
/** Milliseconds and bytes of one command. */
const BOUNDS = { timeout: 20_000, maxBuffer: 8 << 20 };

const folder = mkdtempSync(join(tmpdir(), "gantry-ctr-"));
const socket = join(folder, "containerd.sock");
const fifos = join(folder, "fifo");
let daemon: ChildProcess;

interface Outcome {
  stdout: string;
  stderr: string;
  code: number | null;
}

function execute(program: string[], args: readonly string[], input = ""): Outcome {
  const [file, ...before] = program;
  const env = { PATH: process.env["PATH"] ?? "", TZ: "UTC" };
  const all = [...before, "--address", socket, ...args];
  const { stdout, stderr, status } = spawnSync(file!, all, { input, env, encoding: "utf8", ...BOUNDS });
  return { stdout, stderr, code: status };
}

const MAIN = new URL("../../programs/ctr/main.ts", import.meta.url).pathname;
const theirs = (...args: string[]) => execute([ORIGINAL], args);
// Without the "--" Node would take --env-file for its own.
const ours = (...args: string[]) =>
  execute([process.execPath, "--disable-warning=ExperimentalWarning", "--", MAIN], args);

/** What may differ: times, pids, numbers of snapshots, the order of labels. */
function plain(text: string): string {
  return text
    .replace(/\d{4}-\d\d-\d\d[T ][\d:.]+( \+0000 UTC|Z)?/g, "TIME")
    .replace(/\d+ seconds|About a minute/g, "AGE")
    .replace(/snapshots\/\d+\//g, "snapshots/N/")
    .replace(/\b\d{3,7} {4}(?=RUNNING|STOPPED|PAUSED|CREATED)/g, "PID ")
    .split("\n")
    .map((line) =>
      /=.*,.*=/.test(line)
        ? line
            .split(/([,\s])/)
            .sort()
            .join("")
        : line,
    )
    .join("\n");
}

function same(args: string[], prepare: () => void = () => {}): void {
  prepare();
  const expected = theirs(...args);
  prepare();
  const actual = ours(...args);
  const view = ({ stdout, stderr, code }: Outcome) => ({ stdout: plain(stdout), stderr: plain(stderr), code });
  assert.deepEqual(view(actual), view(expected), `ctr ${args.join(" ")}`);
}

before(async () => {
  if (skip !== false) return;
  const config = [
    "version = 2",
    `root = "${join(folder, "root")}"`,
    `state = "${join(folder, "state")}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]',
    `[grpc]\naddress = "${socket}"`,
    `[ttrpc]\naddress = "${socket}.ttrpc"`,
  ];
  mkdirSync(join(folder, "root"));
  writeFileSync(join(folder, "config.toml"), config.join("\n"));
  writeFileSync(join(folder, "busybox.tar"), await busyboxArchive(BOX));
  const log = openSync(join(folder, "log"), "w");
  daemon = spawn(DAEMON, ["--config", join(folder, "config.toml")], { stdio: ["ignore", log, log] });
  const client = new GrpcClient(socket);
  await client.ready(20_000);
  client.close();
});

after(async () => {
  if (daemon !== undefined) {
    theirs("tasks", "rm", "-f", "c1");
    const ended = new Promise((resolve) => daemon.on("exit", resolve));
    daemon.kill();
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

test("an archive imported by us is the same image as one imported by the original", { skip }, () => {
  same(["images", "import", join(folder, "busybox.tar")], () => theirs("images", "rm", "--sync", BOX));
  for (const args of [["ls"], ["ls", "-q"], ["check"], ["check", "-q"], ["ls", "name==none"]])
    same(["images", ...args]);
});

test("commands without what they need complain as the original does", { skip }, () => {
  const lines = [
    "bogus | containers bogus | containers ls --bogus | containers info | containers info none | containers create",
    `containers create ${BOX} | containers rm | containers rm none none2 | containers label`,
    "containers label none a=b",
    "tasks start | tasks start none | tasks ps none | tasks kill | tasks kill none | tasks rm | tasks rm none",
    "tasks pause none | tasks attach none | tasks attach | tasks exec c1 ls | tasks metrics none",
    `run | run ${BOX} | run none x | run --rm -d ${BOX} x | run --rm -c /none x | run --rm --memory-limit`,
    `run --rm --platform none ${BOX} x | run --rm --with-ns none ${BOX} x | run --rm --mount none ${BOX} x`,
    `run --rm --device /none ${BOX} x | run --rm --cap-drop NONE ${BOX} x | run --rm --env-file /none ${BOX} x`,
    `run --rm --seccomp-profile /none ${BOX} x | run --rm --snapshotter none ${BOX} x | run --rm ${BOX} x/y`,
    "images tag | images label | images rm | images rm none | images import | images import /none | images export",
    "namespaces create | namespaces label | namespaces rm | snapshots info | snapshots info none | snapshots rm none",
    "snapshots prepare | snapshots commit | snapshots mounts | content get | content get none | content rm none",
    "content label | leases rm | leases rm none | help none",
  ];
  const memory = /--memory-limit$/; // its help has flags of newer versions
  // A run that fails leaves its snapshot to the daemon's garbage collector, which may come later than the next run.
  const tidy = () => theirs("snapshots", "rm", "x");
  for (const line of lines.join(" | ").split(" | ")) {
    if (!memory.test(line)) same(line.split(" "), line.startsWith("run --rm") ? tidy : undefined);
  }
});

test("namespaces, leases, snapshots and content look the same", { skip }, () => {
  same(["namespaces", "create", "other", "a=b", "c"], () => theirs("namespaces", "rm", "other"));
  for (const args of [["ls"], ["ls", "-q"], ["label", "other", "a="], ["create", "other"]])
    same(["namespaces", ...args]);
  same(["leases", "create", "--id", "l1", "-x", "1h", "a=b"], () => theirs("leases", "rm", "l1"));
  for (const args of [["ls"], ["ls", "-q"]]) same(["leases", ...args]);
  same(["leases", "rm", "l1"], () => theirs("leases", "create", "--id", "l1"));
  same(["snapshots", "prepare", "--mounts", "k1"], () => theirs("snapshots", "rm", "k1"));
  same(["snapshots", "commit", "m1", "k1"], () => {
    theirs("snapshots", "rm", "m1");
    theirs("snapshots", "prepare", "k1");
  });
  same(["snapshots", "view", "-t", "/mnt/none", "v1", "m1"], () => theirs("snapshots", "rm", "v1"));
  for (const args of ["ls", "tree", "usage", "usage -b", "info m1", "mounts /mnt/none v1", "rm m1", "label m1 a=b"]) {
    same(["snapshots", ...args.split(" ")]);
  }
  same(["snapshots", "rm", "k2"], () => theirs("snapshots", "prepare", "k2"));
  for (const args of [["ls"], ["ls", "-q"], ["active"]]) same(["content", ...args]);
  const digest = theirs("content", "ls", "-q").stdout.split("\n")[0]!;
  same(["content", "get", digest]);
  for (const args of [["ls"], ["ls", "-q"]]) same(["plugins", ...args]);
});

test("containers made by us are the original's in every field the original shows", { skip }, () => {
  const flags = ["--label", "q=r", "--env", "A=B", "--mount", "type=bind,src=/tmp,dst=/host,options=rbind:ro"];
  const limits = ["--memory-limit", "20000000", "--cap-add", "CAP_SYS_PTRACE", "--cwd", "/tmp", "--annotation", "z=y"];
  const variants = [[], [...flags, ...limits], ["--net-host", "--read-only"], ["--tty", "--allow-new-privs"]];
  variants.push([
    "--cpu-quota",
    "5000",
    "--cpu-period",
    "10000",
    "--rootfs-propagation",
    "shared",
    "--device",
    "/dev/null",
  ]);
  for (const variant of variants) {
    const infos = [theirs, ours].map((run) => {
      assert.equal(run("containers", "create", ...variant, BOX, "made", "sleep", "1").code, 0);
      const info = JSON.parse(theirs("containers", "info", "made").stdout);
      assert.equal(run("containers", "rm", "made").code, 0);
      const { maskedPaths: _masked, readonlyPaths: _readonly, ...linux } = info.Spec.linux;
      return { ...info, CreatedAt: "", UpdatedAt: "", Spec: { ...info.Spec, ociVersion: "", linux } };
    });
    assert.deepEqual(infos[1], infos[0], variant.join(" "));
  }
});

test("a task's life from start to removal", { skip }, () => {
  theirs("containers", "create", BOX, "c1", "sleep", "1000");
  for (const args of [["ls"], ["ls", "-q"], ["info", "c1"], ["info", "--spec", "c1"], ["ls", "id==c1"]]) {
    same(["containers", ...args]);
  }
  assert.deepEqual(ours("tasks", "start", "-d", "--fifo-dir", fifos, "c1"), { stdout: "", stderr: "", code: 0 });
  same(["tasks", "start", "-d", "--fifo-dir", fifos, "c1"]);
  const exec = (id: string, ...args: string[]) => ["tasks", "exec", "--exec-id", id, "--fifo-dir", fifos, ...args];
  const lines = [
    ["ls"],
    ["ls", "-q"],
    ["ps", "c1"],
    ["rm", "c1"],
    ["kill", "-s", "NONE", "c1"],
    ["kill", "-s", "0", "c1"],
  ];
  for (const args of lines) same(["tasks", ...args]);
  same(["containers", "rm", "c1"]);
  same(exec("e1", "c1", "sh", "-c", "echo out; echo err >&2; exit 3"));
  same(exec("e2", "c1", "none"));
  same(exec("e3", "--user", "nobody", "--cwd", "/tmp", "c1", "sh", "-c", "id; pwd; env"));
  same(exec("../e4", "c1", "true"));
  same(["tasks", "pause", "c1"], () => theirs("tasks", "resume", "c1"));
  same(["tasks", "ls"]);
  same(["tasks", "resume", "c1"], () => theirs("tasks", "pause", "c1"));
  assert.match(ours("tasks", "metrics", "c1").stdout, /^ID +TIMESTAMP +\nc1 .*\n\nMETRIC +VALUE/);
  assert.equal(ours("tasks", "kill", "-s", "KILL", "c1").code, 0);
  assert.equal(ours("tasks", "rm", "-f", "c1").code, 0);
  assert.equal(ours("containers", "rm", "c1").code, 0);
});

test("run gives output, exit code and nothing left behind", { skip }, () => {
  const variants = [
    ["sh", "-c", "echo out; echo err >&2; exit 7"],
    ["none"],
    ["env"],
    ["echo", "-n", "a", "--rm"],
    ["cat", "/proc/self/cgroup"],
    ["sh", "-c", "kill -9 $$; exit 4"],
  ];
  for (const args of variants) same(["run", "--rm", "--fifo-dir", fifos, BOX, "r1", ...args]);
  const flags = [["--net-host"], ["--read-only"], ["--null-io"], ["--seccomp"], ["--cwd", "/tmp"], ["--cgroup", ""]];
  for (const flag of flags) same(["run", "--rm", "--fifo-dir", fifos, ...flag, BOX, "r1", "sh", "-c", "pwd; touch /x"]);
  const log = join(folder, "out.log");
  assert.equal(ours("run", "--rm", "--log-uri", `file://${log}`, BOX, "r1", "echo", "logged").code, 0);
  assert.equal(readFileSync(log, "utf8"), "logged\n");
  const { stdout } = ours(
    "run",
    "--rm",
    "--hostname",
    "here",
    "--user",
    "nobody",
    BOX,
    "r1",
    "sh",
    "-c",
    "hostname; id -u",
  );
  assert.equal(stdout, "here\n65534\n");
  assert.deepEqual([ours("tasks", "ls", "-q").stdout, ours("containers", "ls", "-q").stdout], ["", ""]);
  // The original names its folders with digits alone, leaves some, and made FIFOs beside them for "../e4".
  const left = readdirSync(fifos).filter((name) => !/^\d+$|^e4-/.test(name));
  assert.deepEqual(left, []);
});

test("short and long input arrives whole and ends", { skip }, () => {
  const long = "0123456789\n".repeat(200_000);
  for (const input of ["hello\n", long]) {
    const main = [process.execPath, "--", MAIN];
    const { stdout, code } = execute(main, ["run", "--rm", "--fifo-dir", fifos, BOX, "i1", "cat"], input);
    assert.equal(stdout === input && code === 0, true, `${stdout.length} of ${input.length} bytes, exit code ${code}`);
  }
});

test("an image exported by us is imported by the original", { skip }, () => {
  const path = join(folder, "exported.tar");
  assert.deepEqual(ours("images", "export", path, BOX), { stdout: "", stderr: "", code: 0 });
  assert.equal(theirs("--namespace", "exported", "images", "import", path).code, 0);
  assert.deepEqual(theirs("--namespace", "exported", "images", "ls", "-q").stdout, `${BOX}\n`);
});
