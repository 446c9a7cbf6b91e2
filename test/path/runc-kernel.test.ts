// What of config.json is told to the kernel alone: scheduling, memory nodes, clocks, names, settings, and interfaces
// that move into a container.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };
const twoProcessors = { skip: /^0$/m.test(readFileSync("/sys/devices/system/cpu/online", "utf8")) };

type Bend = (config: Config) => void;

function refused(bend: Bend, wanted: RegExp): void {
  assert.equal(bench.run(["true"], bend).status, 1);
  assert.match(bench.lastError(), wanted);
}

describe("linux.memoryPolicy", () => {
  const policies: readonly (readonly [policy: Config, wanted: RegExp])[] = [
    [{ mode: "MPOL_DEFAULT" }, /^default$/],
    [{ mode: "MPOL_LOCAL" }, /^local$/],
    [{ mode: "MPOL_PREFERRED", nodes: "0" }, /^prefer:0$/],
    [{ mode: "MPOL_PREFERRED" }, /^(prefer|local)/],
    [{ mode: "MPOL_PREFERRED", nodes: "0", flags: ["MPOL_F_RELATIVE_NODES"] }, /^prefer.*=?relative.*0$/],
    [{ mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] }, /^bind=static:0$/],
    [{ mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING"] }, /^bind=.*static.*:0$/],
    [{ mode: "MPOL_INTERLEAVE", nodes: "0-0" }, /^interleave:0$/],
    [{ mode: "MPOL_PREFERRED_MANY", nodes: "0" }, /^prefer \(many\):0$/],
    [{ mode: "MPOL_WEIGHTED_INTERLEAVE", nodes: "0" }, /^weighted interleave:0$/],
  ];
  const rest = "s/^[0-9a-f]* //; s/ \\(file\\|anon\\|mapped\\|heap\\|stack\\).*//";
  const script = `head -n 1 /proc/self/numa_maps | sed '${rest}'`;
  const skip = existsSync("/proc/self/numa_maps") ? false : "this kernel knows no memory nodes";
  for (const [policy, wanted] of policies) {
    test(`${JSON.stringify(policy)} is what the program has, and one that exec adds`, { skip }, () => {
      const id = bench.start(["sleep", "60"], (config) => (config.linux.memoryPolicy = policy));
      assert.match(bench.runc(["exec", id, "sh", "-c", script]).stdout.trim(), wanted);
      bench.runc(["delete", "--force", id]);
      const result = bench.run(["sh", "-c", script], (config) => (config.linux.memoryPolicy = policy));
      assert.match(result.stdout.trim(), wanted);
    });
  }

  for (const [policy, wanted] of [
    [{}, /invalid memory policy mode ""/],
    [{ mode: "INTERLEAVE", nodes: "0" }, /invalid memory policy mode "INTERLEAVE"/],
    [{ nodes: "0-7" }, /invalid memory policy mode/],
    [{ mode: "MPOL_DEFAULT", nodes: "0-7" }, /memory policy mode requires 0 nodes but got 8/],
    [{ mode: "MPOL_BIND" }, /memory policy mode requires at least one node but got 0/],
    [{ mode: "MPOL_BIND", nodes: "0-9876543210" }, /invalid memory policy nodes "0-9876543210"/],
    [{ mode: "MPOL_BIND", nodes: "x" }, /invalid memory policy nodes "x"/],
    [{ mode: "MPOL_BIND", nodes: "0", flags: ["badflag"] }, /invalid memory policy flag "badflag"/],
    [{ mode: "MPOL_BIND", nodes: "900" }, /set_mempolicy: invalid argument/],
  ] as const) {
    test(`${JSON.stringify(policy)} is refused`, () =>
      refused((config) => (config.linux.memoryPolicy = policy), wanted));
  }
});

describe("process.scheduler and process.ioPriority", () => {
  const shown = "cut -d' ' -f19,40,41 /proc/self/stat; ionice -p $$";
  const schedulers: readonly (readonly [scheduler: Config, wanted: RegExp])[] = [
    [{ policy: "SCHED_OTHER", nice: 7 }, /^7 0 0$/m],
    [{ policy: "SCHED_BATCH", nice: 3 }, /^3 0 3$/m],
    [{ policy: "SCHED_IDLE" }, /^\d+ 0 5$/m],
  ];
  for (const [scheduler, wanted] of schedulers) {
    test(`${JSON.stringify(scheduler)} is what the program runs under`, () => {
      const bend: Bend = (config) => (config.process.scheduler = scheduler);
      assert.match(bench.run(["sh", "-c", shown], bend).stdout, wanted);
      const id = bench.start(["sleep", "60"], bend);
      assert.match(bench.runc(["exec", id, "sh", "-c", shown]).stdout, wanted);
      bench.runc(["delete", "--force", id]);
    });
  }
  for (const [ioPriority, wanted] of [
    [{ class: "IOPRIO_CLASS_BE", priority: 6 }, /^best-effort: prio 6$/m],
    [{ class: "IOPRIO_CLASS_IDLE" }, /^idle/m],
    [{ class: "IOPRIO_CLASS_RT", priority: 1 }, /^realtime: prio 1$/m],
  ] as const) {
    test(`${JSON.stringify(ioPriority)} is the program's`, () => {
      assert.match(bench.run(["sh", "-c", shown], (config) => (config.process.ioPriority = ioPriority)).stdout, wanted);
    });
  }

  const scheduler = (value: Config) => (config: Config) => (config.process.scheduler = value);
  const ioPriority = (value: Config) => (config: Config) => (config.process.ioPriority = value);
  for (const [what, bend, wanted] of [
    ["a policy of no name", scheduler({ policy: "" }), /scheduler policy is required/],
    ["an unknown policy", scheduler({ policy: "SCHED_FOO" }), /invalid scheduler policy: SCHED_FOO/],
    ["a nice value of 20", scheduler({ policy: "SCHED_OTHER", nice: 20 }), /invalid scheduler.nice: 20 when/],
    ["a priority of SCHED_OTHER", scheduler({ policy: "SCHED_OTHER", priority: 1 }), /priority can only be specified/],
    [
      "a runtime of SCHED_FIFO",
      scheduler({ policy: "SCHED_FIFO", runtime: 1 }),
      /can only be specified for SchedDeadline/,
    ],
    ["an unknown flag", scheduler({ policy: "SCHED_OTHER", flags: ["X"] }), /invalid scheduler flag: X/],
    ["an io priority of 8", ioPriority({ class: "IOPRIO_CLASS_BE", priority: 8 }), /invalid ioPriority.Priority: 8/],
    ["an unknown class", ioPriority({ class: "X", priority: 1 }), /invalid ioPriority.Class: "X"/],
  ] as const) {
    test(`${what} is refused`, () => refused(bend as Bend, wanted));
  }
});

describe("process.execCPUAffinity", twoProcessors, () => {
  const where = ["grep", "Cpus_allowed_list", "/proc/self/status"];

  test("says on which processors a process that exec adds runs, and not the first one", () => {
    for (const [affinity, wanted] of [
      [{ initial: "0", final: "1" }, "1"],
      [{ final: "0" }, "0"],
      // Without a final one, joining a v1 cpuset gives it all of that; v2 leaves it.
      [{ initial: "1" }, "(0-)?1"],
      [{}, "0-1"],
    ] as const) {
      const id = bench.start(["sleep", "60"], (config) => (config.process.execCPUAffinity = affinity));
      assert.match(bench.runc(["exec", id, ...where]).stdout, new RegExp(`\\t${wanted}`), JSON.stringify(affinity));
      assert.match(bench.runc(["exec", id, "grep", "Cpus_allowed_list", "/proc/1/status"]).stdout, /\t0-1/);
      bench.runc(["delete", "--force", id]);
    }
  });

  test("of a process.json counts for that process", () => {
    const id = bench.start(["sleep", "60"]);
    const file = join(bench.path, "process.json");
    writeFileSync(file, JSON.stringify({ args: where, cwd: "/", env: ["PATH=/bin"], execCPUAffinity: { final: "1" } }));
    assert.match(bench.runc(["exec", "--process", file, id]).stdout, /\t1$/m);
    bench.runc(["delete", "--force", id]);
  });

  test("that is no list is refused", () => {
    refused((config) => (config.process.execCPUAffinity = { initial: "x" }), /bad CPUAffinity.Initial/);
    refused((config) => (config.process.execCPUAffinity = { final: "3-1" }), /bad CPUAffinity.Final/);
  });

  test("does not come from what the runtime itself is held to", () => {
    bench.configure(where);
    const line = ["taskset", "-c", "0", OURS, "--root", bench.rootOf(OURS), "run", bench.newId()];
    assert.match(spawnSync("/bin/busybox", line, { cwd: bench.path, encoding: "utf8" }).stdout, /\t0-1/);
  });
});

describe("names, clocks and personality", () => {
  test("hostname and domainname are the container's own", () => {
    const result = bench.run(["sh", "-c", "hostname; cat /proc/sys/kernel/domainname"], (config) => {
      config.hostname = "box";
      config.domainname = "example.org";
    });
    assert.equal(result.stdout, "box\nexample.org\n");
  });

  test("both clocks of a time namespace may be offset, also beside a user namespace and for exec", () => {
    const bend: Bend = (config) => {
      config.linux.namespaces.push({ type: "time" });
      config.linux.timeOffsets = {
        monotonic: { secs: 7881, nanosecs: 2718281 },
        boottime: { secs: 1337, nanosecs: 3141519 },
      };
    };
    const wanted = /^monotonic\s+7881\s+2718281\nboottime\s+1337\s+3141519$/m;
    assert.match(bench.run(["cat", "/proc/self/timens_offsets"], bend).stdout, wanted);
    const id = bench.start(["sleep", "60"], bend);
    assert.match(bench.runc(["exec", id, "cat", "/proc/self/timens_offsets"]).stdout, wanted);
    bench.runc(["delete", "--force", id]);
    refused((config) => (config.linux.timeOffsets = { boottime: { secs: 1 } }), /time namespace isn't enabled/);
  });

  test("a personality of 32 bits shows in uname", both, () => {
    const bend: Bend = (config) => (config.linux.personality = { domain: "LINUX32" });
    assert.equal(bench.run(["uname", "-m"], bend).stdout, "i686\n");
    assert.equal(
      bench.run(["uname", "-m"], (config) => (config.linux.personality = { domain: "LINUX" })).stdout,
      "x86_64\n",
    );
  });
});

describe("linux.sysctl", both, () => {
  const values: readonly (readonly [name: string, value: string, without: string])[] = [
    ["kernel.shmmax", "12345", ""],
    ["kernel/shmmax", "12345", ""],
    ["kernel.shmmax", "1", "ipc"],
    ["fs.mqueue.msg_max", "11", ""],
    ["fs.mqueue.msg_max", "11", "ipc"],
    ["net.ipv4.ip_forward", "1", ""],
    ["net/ipv4/conf/lo/rp_filter", "1", ""],
    ["net.ipv4.ip_forward", "1", "network"],
    ["kernel.domainname", "there", ""],
    ["kernel.hostname", "there", ""],
    ["kernel.sysrq", "1", ""],
    ["vm.swappiness", "1", ""],
    ["fs.file-max", "1", ""],
  ];
  for (const [name, value, without] of values) {
    test(`${name} ${without === "" ? "" : `without a namespace of ${without} `}is as with the original`, () => {
      const path = `/proc/sys/${name.includes("/") ? name : name.replaceAll(".", "/")}`;
      const bend: Bend = (config) => {
        config.linux.sysctl = { [name]: value };
        config.hostname = "";
        config.linux.namespaces = config.linux.namespaces.filter(({ type }: Config) => type !== without);
        if (without === "network") config.mounts = config.mounts.filter(({ type }: Config) => type !== "sysfs");
      };
      const outcomes = [OURS, ORIGINAL].map((runtime) => {
        const { stdout, status } = bench.run(["cat", path], bend, runtime);
        return [status, stdout, status === 0 ? "" : bench.lastError(runtime)];
      });
      assert.deepEqual(outcomes[0], outcomes[1]);
    });
  }

  test("of user namespaces need one", () => {
    const bend: Bend = (config) => (config.linux.sysctl = { "user.max_net_namespaces": "1" });
    refused(bend, /setting ucounts without a user namespace not allowed: user\.max_net_namespaces/);
  });

  test("a network namespace by path that is the host's own counts as the host's", () => {
    refused((config) => {
      config.linux.sysctl = { "net.ipv4.ip_forward": "1" };
      for (const one of config.linux.namespaces) if (one.type === "network") one.path = "/proc/self/ns/net";
    }, /sysctl "net.ipv4.ip_forward" not allowed in host network namespace/);
  });
});

/** Runs a script in a network namespace of its own, with `$RUN` for `runc run`. */
function inNetwork(script: string): string {
  const line = `${OURS} --root ${bench.rootOf(OURS)} --log ${bench.logOf(OURS)} --log-format json run`;
  const all = `set -e; ip link set lo up; ip link add host0 type veth peer name far0; RUN="${line}"; ${script}`;
  const result = spawnSync("unshare", ["--net", "sh", "-c", all], {
    cwd: bench.path,
    encoding: "utf8",
    timeout: 30_000,
  });
  assert.equal(result.status, 0, result.stderr);
  return result.stdout;
}

describe("linux.netDevices", () => {
  const setUp =
    "ip link set host0 mtu 1789 address 00:11:22:33:44:55; ip addr add 10.99.0.2/24 dev host0; " +
    "ip addr add fd00:99::2/64 dev host0 nodad; ip link set host0 up; ip link set far0 up; ";
  const show = (name: string) => [
    "sh",
    "-c",
    `ip addr show dev ${name}; cat /proc/sys/net/ipv4/conf/${name}/rp_filter`,
  ];

  test("move into the container with name, addresses, mtu and hardware address", () => {
    bench.configure(show("inner0"), (config) => {
      config.linux.netDevices = { host0: { name: "inner0" } };
      config.linux.sysctl = { "net.ipv4.conf.inner0.rp_filter": "2" };
    });
    const seen = inNetwork(`${setUp} $RUN ${bench.newId()}; ip link show host0 2>&1 || true`);
    assert.match(seen, /inner0.*UP.* mtu 1789 /);
    assert.match(seen, /link\/ether 00:11:22:33:44:55/);
    assert.match(seen, /inet 10\.99\.0\.2\/24 brd|inet 10\.99\.0\.2\/24 scope global/);
    assert.match(seen, /inet6 fd00:99::2\/64 scope global/);
    assert.equal(seen.match(/inet6 fe80/g)?.length ?? 0, 1);
    assert.match(seen, /^2$/m);
    assert.match(seen, /Device "host0" does not exist/);
  });

  test("keep their name when none is given, and move into a namespace that config.json names", () => {
    bench.configure(show("host0"), (config) => {
      config.linux.netDevices = { host0: {} };
      for (const one of config.linux.namespaces) if (one.type === "network") one.path = "/tmp/gantry-there";
    });
    const path = join(bench.path, "netns");
    writeFileSync(path, "");
    const config = readFileSync(join(bench.path, "config.json"), "utf8").replace("/tmp/gantry-there", path);
    writeFileSync(join(bench.path, "config.json"), config);
    const held = `unshare --net sh -c 'mount --bind /proc/self/ns/net ${path}'; ${setUp}`;
    const look = `nsenter --net=${path} ip -o addr show dev host0; umount ${path}`;
    const seen = inNetwork(`${held} $RUN ${bench.newId()}; ${look}`);
    assert.equal(seen.match(/inet 10\.99\.0\.2\/24/g)!.length, 2);
  });

  test("are given back, with addresses, when the container fails after they moved", () => {
    bench.configure(["true"], (config) => {
      config.linux.netDevices = { host0: { name: "inner0" } };
      config.hooks = { createRuntime: [{ path: "/bin/false" }] };
    });
    const seen = inNetwork(`${setUp} $RUN ${bench.newId()} 2>/dev/null || true; ip addr show host0`);
    assert.match(seen, /host0.*UP.* mtu 1789 /);
    assert.match(seen, /inet 10\.99\.0\.2\/24/);
    assert.match(seen, /inet6 fd00:99::2\/64 scope global/);
    bench.configure(["true"], (config) => (config.linux.netDevices = { host0: {}, nope: {} }));
    const after = inNetwork(`${setUp} $RUN ${bench.newId()} 2>/dev/null || true; ip addr show host0`);
    assert.match(after, /inet 10\.99\.0\.2/);
    assert.match(
      bench.lastError(),
      /move netDevice nope to namespace \/proc\/\d+\/ns\/net: link not found for interface nope on runtime namespace/,
    );
  });

  test("that cannot move are refused", () => {
    const devices = (value: Config) => (config: Config) => (config.linux.netDevices = value);
    refused(devices({ "a/b": {} }), /invalid network device name "a\/b"/);
    refused(devices({ lo0: { name: "much-too-long-for-it" } }), /invalid network device name "much-too-long-for-it"/);
    refused(devices({ lo0: { name: ".." } }), /invalid network device name "\.\."/);
    refused((config) => {
      devices({ lo0: {} })(config);
      config.linux.namespaces = config.linux.namespaces.filter(({ type }: Config) => type !== "network");
    }, /unable to move network devices without a NET namespace/);
  });
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
