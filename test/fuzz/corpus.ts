// What the fuzz starts from: whole and ordinary inputs of every kind, in which each field stands at least once.

/** A config.json with every field of the schema, harmless to run: in its own namespaces and below `root`. */
export function fullConfig(root: string, cgroup: string): unknown {
  const hook = [{ path: "/bin/true", args: ["true"], env: ["A=b"], timeout: 5 }];
  return {
    ociVersion: "1.3.0",
    hostname: "fuzz",
    domainname: "example",
    root: { path: root, readonly: false },
    process: fullProcess(),
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      {
        destination: "/dev",
        type: "tmpfs",
        source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
      },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["newinstance", "ptmxmode=0666", "mode=0620"],
      },
      { destination: "/tmp/up", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "rprivate", "ro"] },
      { destination: "/mnt", type: "bind", source: root, options: ["rbind", "rro", "rnosuid", "nodev"] },
    ],
    hooks: {
      prestart: hook,
      createRuntime: hook,
      createContainer: [],
      startContainer: [],
      poststart: hook,
      poststop: hook,
    },
    annotations: { "org.example.key": "value", other: "é" },
    linux: fullLinux(cgroup),
  };
}

export function fullProcess(): unknown {
  const capabilities = ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"];
  return {
    terminal: false,
    consoleSize: { height: 25, width: 80 },
    user: { uid: 0, gid: 0, umask: 18, additionalGids: [5, 7] },
    args: ["true"],
    env: ["PATH=/bin", "TERM=xterm"],
    cwd: "/",
    capabilities: {
      ...{ bounding: capabilities, effective: capabilities, inheritable: [], permitted: capabilities },
      ambient: ["CAP_KILL"],
    },
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 256, hard: 512 }],
    noNewPrivileges: true,
    oomScoreAdj: 100,
    ioPriority: { class: "IOPRIO_CLASS_BE", priority: 4 },
    scheduler: { policy: "SCHED_BATCH", nice: 1 },
  };
}

function fullLinux(cgroup: string): unknown {
  const namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup", "time"].map((type) => ({ type }));
  return {
    namespaces,
    timeOffsets: { monotonic: { secs: 5, nanosecs: 1 } },
    devices: [{ path: "/dev/fuzz", type: "c", major: 1, minor: 3, fileMode: 438, uid: 0, gid: 0 }],
    cgroupsPath: cgroup,
    resources: fullResources(),
    rootfsPropagation: "rslave",
    sysctl: { "net.ipv4.ip_forward": "0", "kernel.msgmax": "8192" },
    maskedPaths: ["/proc/kcore", "/proc/keys"],
    readonlyPaths: ["/proc/sys"],
    personality: { domain: "LINUX", flags: [] },
    seccomp: fullSeccomp(),
  };
}

function fullSeccomp(): unknown {
  return {
    defaultAction: "SCMP_ACT_ALLOW",
    defaultErrnoRet: 1,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    flags: ["SECCOMP_FILTER_FLAG_LOG"],
    syscalls: [
      { names: ["unshare", "acct"], action: "SCMP_ACT_ERRNO", errnoRet: 18 },
      {
        names: ["personality"],
        action: "SCMP_ACT_ERRNO",
        args: [{ index: 0, value: 4294967295, valueTwo: 0, op: "SCMP_CMP_EQ" }],
      },
    ],
  };
}

/** Also the file of `update --resources`. */
export function fullResources(): unknown {
  return {
    devices: [
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
    ],
    memory: { limit: 134217728, reservation: 67108864, swap: -1, swappiness: 10, disableOOMKiller: false },
    cpu: { shares: 512, quota: 50000, period: 100000, cpus: "0", mems: "0" },
    pids: { limit: 100 },
    blockIO: { weight: 500, throttleReadBpsDevice: [] },
    hugepageLimits: [],
    network: { priorities: [] },
    rdma: {},
    unified: {},
  };
}

/** state.json of ours and, by shape, of the original's 1.1 and 1.5; `pid` with a start that fits no process. */
export function records(id: string, root: string): unknown[] {
  const cgroups = { devices: `/sys/fs/cgroup/devices/${id}`, "": `/sys/fs/cgroup/unified/${id}` };
  const base = { id, init_process_pid: 2, init_process_start: 1, created: "2026-01-01T00:00:00.5Z" };
  const hooks = {
    poststart: null,
    poststop: [{ path: "/bin/true", args: ["true"], env: null, dir: "", timeout: 5000000000 }],
  };
  const ours = {
    rootfs: root,
    namespaces: [
      { type: "NEWPID", path: "" },
      { type: "NEWNS", path: "" },
    ],
    cgroups: { name: id, path: "", freezer: "", Systemd: false, Rootless: false },
    ...{ uid_mappings: null, gid_mappings: [{ container_id: 0, host_id: 1000, size: 65536 }], no_new_keyring: false },
    ...{ version: "1.3.0", Hooks: hooks, labels: [`bundle=${root}`, "key=value=more"], seccomp_flags: null },
  };
  const newest = {
    ...{ rootfs: root, hostname: "runc", namespaces: [{ type: "NEWPID" }], cgroups: { name: id }, Hooks: hooks },
    ...{ version: "1.3.0", labels: [`bundle=${root}`] },
  };
  return [
    { ...base, config: ours, rootless: false, cgroup_paths: cgroups, namespace_paths: { NEWPID: "/proc/2/ns/pid" } },
    { ...base, config: newest, cgroup_paths: cgroups, external_descriptors: ["/dev/null"] },
  ];
}

export const MESSAGES: readonly unknown[] = [
  { kind: "go" },
  { kind: "ready" },
  { kind: "map" },
  { kind: "born", pid: 4242 },
  { kind: "source", mount: 3 },
  { kind: "warning", message: "careful" },
  { kind: "failed", message: 'exec: "x": executable file not found in $PATH', early: true },
];
