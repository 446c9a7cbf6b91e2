// The documents that core/spec builds, field by field.

import assert from "node:assert/strict";
import { test } from "node:test";
import { CAPABILITY_NAMES } from "../../linux/capability-names.ts";
import { capabilitiesOfMask, DEFAULT_CAPABILITIES, resolveCapabilities } from "./capabilities.ts";
import { ctrSpec } from "./ctr.ts";
import { type DockerSpecRequest, dockerEnvironment, dockerSpec, replaceEnvironment } from "./docker.ts";
import { checkResources, ociResources } from "./resources.ts";
import { defaultSeccomp, readSeccompProfile } from "./seccomp.ts";

const NONE = { add: [], drop: [], privileged: false, available: null };

function request(changes: Partial<DockerSpecRequest> = {}): DockerSpecRequest {
  return {
    args: ["true"],
    env: [],
    cwd: "",
    user: { uid: 0, gid: 0 },
    terminal: false,
    consoleSize: null,
    hostname: "abc",
    domainname: "",
    rootPath: "rootfs",
    readonlyRoot: false,
    privileged: false,
    capabilities: [...DEFAULT_CAPABILITIES],
    noNewPrivileges: false,
    seccomp: null,
    oomScoreAdj: 0,
    rlimits: [],
    namespaces: { pid: "private", network: "private", ipc: "private", uts: "private", cgroup: "host" },
    mounts: [],
    shmBytes: 65536,
    initPath: null,
    devices: [],
    deviceRules: [],
    resources: {},
    cgroupsPath: "/docker/abc",
    sysctls: {},
    maskedPaths: null,
    readonlyPaths: null,
    annotations: {},
    ...changes,
  };
}

test("a container gets fourteen capabilities by default", () => {
  assert.equal(resolveCapabilities(NONE).length, 14);
});

test("drop ALL with one add leaves that one", () => {
  assert.deepEqual(resolveCapabilities({ ...NONE, drop: ["all"], add: ["net_admin"] }), ["CAP_NET_ADMIN"]);
});

test("add ALL with one drop leaves all others", () => {
  const set = resolveCapabilities({ ...NONE, add: ["ALL"], drop: ["CAP_SYS_ADMIN"] });
  assert.equal(set.length, CAPABILITY_NAMES.length - 1);
});

test("a privileged container gets what the daemon may hand on", () => {
  assert.deepEqual(resolveCapabilities({ ...NONE, privileged: true, available: ["CAP_KILL"] }), ["CAP_KILL"]);
});

test("an unknown capability is refused by name", () => {
  assert.throws(() => resolveCapabilities({ ...NONE, add: ["NOPE"] }), /unknown capability: "CAP_NOPE"/);
});

test("a capability mask is read by bit number", () => {
  assert.deepEqual(capabilitiesOfMask("0000000000000021"), ["CAP_CHOWN", "CAP_KILL"]);
});

test("without CAP_SYS_ADMIN clone is filtered by its flags and clone3 says ENOSYS", () => {
  const rules = defaultSeccomp(DEFAULT_CAPABILITIES).syscalls;
  assert.equal(rules.find((rule) => rule.names.includes("clone3"))?.errnoRet, 38);
  assert.equal(rules.find((rule) => rule.names.includes("clone"))?.args?.[0]?.value, 0x7e020000);
  assert.ok(rules.some((rule) => rule.names.includes("chroot")));
  assert.ok(!rules.some((rule) => rule.names.includes("mount")));
});

test("with CAP_SYS_ADMIN mount and clone are free", () => {
  const rules = defaultSeccomp(["CAP_SYS_ADMIN"]).syscalls;
  assert.ok(rules.some((rule) => rule.names.includes("mount") && rule.names.includes("clone3")));
  assert.ok(!rules.some((rule) => rule.action === "SCMP_ACT_ERRNO"));
});

test("no system call stands twice in the free list", () => {
  const names = defaultSeccomp([]).syscalls[0]!.names;
  assert.equal(new Set(names).size, names.length);
});

test("a user's profile keeps the rules whose conditions hold", () => {
  const text = JSON.stringify({
    defaultAction: "SCMP_ACT_ERRNO",
    archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
    syscalls: [
      { names: ["read"], action: "SCMP_ACT_ALLOW" },
      { names: ["bpf"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_BPF"] } },
      { names: ["stime"], action: "SCMP_ACT_ALLOW", includes: { arches: ["arm"] } },
    ],
  });
  const profile = readSeccompProfile(text, []);
  assert.deepEqual(
    profile.syscalls.map((rule) => rule.names[0]),
    ["read"],
  );
  assert.deepEqual(profile.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
  assert.throws(() => readSeccompProfile("{", []), /Decoding seccomp profile failed/);
});

test("a user's mount takes the place of a default one", () => {
  const spec = dockerSpec(request({ mounts: [{ destination: "/dev/shm", type: "bind", source: "/x", options: [] }] }));
  assert.equal(spec.mounts.filter((entry) => entry.destination === "/dev/shm").length, 1);
});

test("a read-only root locks the defaults that nobody needs to write", () => {
  const spec = dockerSpec(request({ readonlyRoot: true }));
  const options = (path: string) => spec.mounts.find((entry) => entry.destination === path)!.options!;
  assert.ok(options("/sys").includes("ro"));
  assert.ok(!options("/dev/shm").includes("ro"));
});

test("privileged means writable sysfs, every device and nothing masked", () => {
  const spec = dockerSpec(request({ privileged: true }));
  assert.ok(!spec.mounts.find((entry) => entry.destination === "/sys")!.options!.includes("ro"));
  assert.deepEqual(spec.linux.resources!.devices, [{ allow: true, access: "rwm" }]);
  assert.deepEqual(spec.linux.maskedPaths, []);
});

test("init is bound in and put before the command", () => {
  const spec = dockerSpec(request({ initPath: "/usr/bin/docker-init" }));
  assert.deepEqual(spec.process.args, ["/sbin/docker-init", "--", "true"]);
  assert.equal(spec.mounts.at(-1)!.destination, "/sbin/docker-init");
});

test("host network has neither a namespace nor network sysctls", () => {
  const spec = dockerSpec(request({ namespaces: { ...request().namespaces, network: "host" } }));
  assert.ok(!spec.linux.namespaces.some((entry) => entry.type === "network"));
  assert.equal(spec.linux.sysctl, undefined);
});

test("a user who is not root starts with no capability in force", () => {
  const capabilities = dockerSpec(request({ user: { uid: 5, gid: 5 } })).process.capabilities!;
  assert.equal(capabilities.effective, undefined);
  assert.equal(capabilities.bounding.length, 14);
});

test("a later variable replaces an earlier one and a bare name removes it", () => {
  assert.deepEqual(replaceEnvironment(["A=1", "B=2"], ["A=3", "B", "C=4"]), ["A=3", "C=4"]);
  assert.ok(dockerEnvironment("h", true, []).includes("TERM=xterm"));
});

test("cpus become a quota of 100 ms periods and memory allows as much swap again", () => {
  const resources = ociResources({ NanoCpus: 1.5e9, Memory: 64 << 20, PidsLimit: 7 }, null, true);
  assert.deepEqual(resources.cpu, { period: 100000, quota: 150000 });
  assert.deepEqual(resources.memory, { limit: 64 << 20, swap: 128 << 20 });
  assert.deepEqual(resources.pids, { limit: 7 });
});

test("less than six megabytes of memory is refused", () => {
  assert.throws(() => checkResources({ Memory: 1024 }), /Minimum memory limit allowed is 6MB/);
});

test("ctr's document has a /run, no new privileges and its namespace's cgroup", () => {
  const spec = ctrSpec({
    namespace: "default",
    id: "x",
    args: ["true"],
    env: ["PATH=/bin"],
    cwd: "",
    user: { uid: 0, gid: 0 },
    terminal: false,
  });
  assert.ok(spec.mounts.some((entry) => entry.destination === "/run"));
  assert.equal(spec.process.noNewPrivileges, true);
  assert.deepEqual(spec.process.env, ["PATH=/bin"]);
  assert.equal(spec.linux.cgroupsPath, "/default/x");
});
