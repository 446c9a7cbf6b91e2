// Containers whose cgroups systemd keeps (--systemd-cgroup): the scope beside the one that the original asks for, the
// later commands on it, and what is left when something goes wrong.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, test } from "node:test";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../bundle.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
// What a failed test leaves would fail the next ones, too.
afterEach(() => {
  const state = bench.rootOf(OURS);
  for (const id of existsSync(state) ? readdirSync(state) : []) bench.runc(["delete", "--force", id]);
});

const ANNOTATION = "org.systemd.property";
const SHOWN = [
  ...["Slice", "Wants", "Description", "ActiveState", "SubState", "DefaultDependencies", "CollectMode"],
  ...["Delegate", "DelegateControllers", "MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"],
  ...["MemoryMax", "MemoryLow", "MemoryHigh", "MemoryMin", "MemorySwapMax", "CPUWeight", "CPUQuotaPerSecUSec"],
  ...["CPUQuotaPeriodUSec", "AllowedCPUs", "AllowedMemoryNodes", "TasksMax", "DevicePolicy", "DeviceAllow"],
  "TimeoutStopUSec",
];

function systemctl(...args: readonly string[]): string {
  return spawnSync("systemctl", args, { encoding: "utf8" }).stdout;
}

/** What systemd says of a unit, in an order of its own; without what differs between versions of the original: it once
 *  let every container have /dev/net/tun, and named terminals by their driver. */
function unitOf(name: string, id: string): string[] {
  const lines = systemctl("show", name).replaceAll(id, "ID").replace("char-pts", "char-136").split("\n");
  return lines.filter((line) => SHOWN.includes(line.split("=")[0]!) && !line.includes("/dev/char/10:200")).sort();
}

function start(bend: (config: Config) => void, cgroupsPath = "", runtime = OURS): string {
  const id = bench.newId();
  bench.configure(["sleep", "1000"], (config) => {
    if (cgroupsPath !== "") config.linux.cgroupsPath = cgroupsPath.replace("ID", id);
    bend(config);
  });
  const ran = bench.runc(["--systemd-cgroup", "run", "--detach", id], runtime);
  assert.equal(ran.status, 0, bench.lastError(runtime));
  return id;
}

const directoryOf = (id: string) => {
  const pid = JSON.parse(bench.runc(["state", id]).stdout).pid;
  return `/sys/fs/cgroup${readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length)}`;
};
const read = (id: string, file: string) => readFileSync(join(directoryOf(id), file), "utf8").trim();

const CONFIGS: readonly (readonly [what: string, cgroupsPath: string, bend: (config: Config) => void])[] = [
  ["no path and no limits", "", () => {}],
  [
    "every limit that has a property",
    "gantry-test.slice:pre:ID",
    ({ linux }) => {
      linux.resources.memory = { limit: 104857600, reservation: 52428800, swap: 157286400 };
      linux.resources.cpu = { shares: 512, quota: 30000, period: 100000, cpus: "0-1", mems: "0" };
      linux.resources.pids = { limit: 77 };
    },
  ],
  [
    "limits given as files of cgroup v2",
    "system.slice:docker:ID",
    ({ linux }) => {
      linux.resources.unified = {
        ...{ "memory.high": "50000000", "memory.low": "10000000", "memory.max": "max", "pids.max": "99" },
        ...{ "cpu.weight": "42", "cpu.max": "20000 100000", "cpuset.cpus": "0" },
      };
    },
  ],
  [
    "devices of its own",
    ":pre:ID",
    ({ linux }) => {
      linux.resources.devices.push({ allow: true, type: "b", major: 254, minor: 0, access: "r" });
      linux.resources.devices.push({ allow: true, type: "c", major: 10, minor: 237, access: "rw" });
    },
  ],
  [
    "all devices",
    ":pre:ID",
    ({ linux }) => {
      linux.resources.devices = [{ allow: true, access: "rwm" }];
    },
  ],
  [
    "annotations",
    ":pre:ID",
    (config) => {
      config.annotations = {
        [`${ANNOTATION}.TimeoutStopUSec`]: "uint64 123456789",
        [`${ANNOTATION}.CollectMode`]: "'inactive-or-failed'",
        [`${ANNOTATION}.IOAccounting`]: "false",
      };
    },
  ],
];
for (const [what, path, bend] of CONFIGS) {
  test(`the scope of a container with ${what} has the properties that the original gives it`, () => {
    const [ours, theirs] = [start(bend, path), start(bend, path, ORIGINAL)];
    const prefix = path === "" ? "runc" : path.split(":")[1]!;
    const [unit, original] = [ours, theirs].map((id) => unitOf(`${prefix}-${id}.scope`, id));
    assert.equal(bench.runc(["delete", "--force", theirs], ORIGINAL).status, 0);
    assert.deepEqual(unit, original);
    assert.ok(unit!.includes("ActiveState=active"));
    assert.equal(bench.runc(["delete", "--force", ours]).status, 0, bench.lastError());
    assert.equal(systemctl("list-units", "--all", "--plain", "--no-legend", `*${bench.tag}*`), "");
  });
}

test("the dashes of a slice are its place, and the container is born there", () => {
  const id = start(() => {}, "gantry-a-b.slice:x:ID");
  assert.equal(directoryOf(id), `/sys/fs/cgroup/gantry.slice/gantry-a.slice/gantry-a-b.slice/x-${id}.scope`);
  bench.runc(["delete", "--force", id]);
});

test("limits are also in the files of the cgroup, and update changes both", () => {
  const id = start(({ linux }) => {
    linux.resources.memory = { limit: 104857600 };
    linux.resources.hugepageLimits = [{ pageSize: "2MB", limit: 4194304 }];
  });
  assert.equal(read(id, "memory.max"), "104857600");
  assert.equal(read(id, "hugetlb.2MB.max"), "4194304");
  const updated = bench.runc(["update", "--memory", "200M", "--pids-limit", "55", "--cpu-quota", "55555", id]);
  assert.equal(updated.status, 0, bench.lastError());
  assert.equal(read(id, "memory.max"), "209715200");
  assert.equal(read(id, "cpu.max"), "56000 100000");
  const unit = unitOf(`runc-${id}.scope`, id);
  for (const line of ["MemoryMax=209715200", "TasksMax=55", "CPUQuotaPerSecUSec=560ms"]) assert.ok(unit.includes(line));
  // systemd writes all its units' files again, and must write the same.
  systemctl("daemon-reload");
  assert.equal(read(id, "memory.max"), "209715200");
  assert.equal(read(id, "pids.max"), "55");
  bench.runc(["delete", "--force", id]);
});

test("the device rules hold, also after systemd has read its units again", () => {
  const node = { path: "/dev/disk", type: "b", major: 254, minor: 0, fileMode: 0o666 };
  const id = start(({ linux }) => {
    linux.devices = [node];
  });
  const look = () => bench.runc(["exec", id, "sh", "-c", "head -c 1 /dev/disk; head -c 1 /dev/zero | wc -c"]);
  for (const _ of [1, 2]) {
    const looked = look();
    assert.match(looked.stderr, /Operation not permitted/);
    assert.equal(looked.stdout, "1\n");
    systemctl("daemon-reload");
  }
  bench.runc(["delete", "--force", id]);
});

test("later commands find the container, ours and the original's each other's", () => {
  const id = start(() => {}, ":pre:ID");
  const original = (...args: readonly string[]) =>
    spawnSync(ORIGINAL, ["--root", bench.rootOf(OURS), ...args], { encoding: "utf8" });
  assert.equal(bench.runc(["exec", id, "true"]).status, 0);
  assert.equal(bench.runc(["pause", id]).status, 0);
  assert.equal(bench.status(id), "paused");
  assert.equal(JSON.parse(original("state", id).stdout).status, "paused");
  assert.equal(original("resume", id).status, 0);
  assert.equal(bench.status(id), "running");
  assert.ok(JSON.parse(bench.runc(["events", "--stats", id]).stdout).data.pids.current >= 1);
  const deleted = original("delete", "--force", id);
  assert.equal(deleted.status, 0, deleted.stderr);
  assert.equal(systemctl("list-units", "--all", "--plain", "--no-legend", `*${bench.tag}*`), "");
});

test("a container in a user namespace is in its scope, and owns it when it may write there", () => {
  const id = start((config) => {
    config.linux.namespaces.push({ type: "user" });
    if (!config.linux.namespaces.some(({ type }: { type: string }) => type === "cgroup")) {
      config.linux.namespaces.push({ type: "cgroup" });
    }
    config.linux.uidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    config.linux.gidMappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    const cgroup = config.mounts.find(({ type }: { type: string }) => type === "cgroup");
    cgroup.options = cgroup.options.filter((option: string) => option !== "ro");
  });
  const made = bench.runc(["exec", id, "sh", "-c", "cat /proc/self/cgroup; mkdir /sys/fs/cgroup/below && echo made"]);
  assert.equal(made.stdout, "0::/\nmade\n", made.stderr);
  assert.ok(existsSync(join(directoryOf(id), "below")));
  assert.equal(bench.runc(["delete", "--force", id]).status, 0);
});

test("a container that ends by itself takes its scope along", () => {
  bench.configure(["sh", "-c", "exit 3"], ({ linux }) => {
    linux.cgroupsPath = `:pre:${bench.tag}-end`;
  });
  assert.equal(bench.runc(["--systemd-cgroup", "run", bench.newId()]).status, 3);
  assert.equal(systemctl("list-units", "--all", "--plain", "--no-legend", `*${bench.tag}*`), "");
});

const REFUSED: readonly (readonly [what: string, bend: (config: Config) => void, sentence: RegExp])[] = [
  [
    "a path of another form",
    ({ linux }) => {
      linux.cgroupsPath = "/a/b";
    },
    /expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "\/a\/b" instead/,
  ],
  [
    "a slice that is none",
    ({ linux }) => {
      linux.cgroupsPath = "a--b.slice:x:y";
    },
    /invalid slice name: a--b\.slice/,
  ],
  [
    "a property that systemd does not know",
    (config) => {
      config.annotations = { [`${ANNOTATION}.NoSuchThing`]: "true" };
    },
    /unable to apply cgroup configuration: unable to start unit "runc-.*\.scope".*NoSuchThing/,
  ],
  [
    "a program that is not there",
    (config) => {
      config.process.args = ["/no/such/program"];
    },
    /no such file or directory/,
  ],
];
for (const [what, bend, sentence] of REFUSED) {
  test(`${what} fails with a sentence and leaves no unit`, () => {
    bench.configure(["true"], bend);
    const ran = bench.runc(["--systemd-cgroup", "run", bench.newId()]);
    assert.notEqual(ran.status, 0);
    assert.match(bench.lastError(), sentence);
    assert.equal(systemctl("list-units", "--all", "--plain", "--no-legend", `*${bench.tag}*`), "");
    assert.deepEqual(bench.leftovers(), []);
  });
}

test("a unit of the same name that runs is not touched", () => {
  const id = start(() => {}, ":same:x");
  bench.configure(["true"], ({ linux }) => {
    linux.cgroupsPath = ":same:x";
  });
  assert.equal(bench.runc(["--systemd-cgroup", "run", bench.newId()]).status, 1);
  assert.match(bench.lastError(), /container's cgroup is not empty: 1 process\(es\) found/);
  assert.equal(bench.status(id), "running");
  bench.runc(["delete", "--force", id]);
  assert.deepEqual(bench.leftovers(), []);
});
