// Containers of a user without root's rights, and of who is root only in a user namespace: what works, what is refused
// and in which words, what is left out. The user is made up for the test and the machine does not know it afterwards.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Config, ORIGINAL, OURS } from "../bundle.ts";
import { GID, RANGE, SUB_GID, SUB_UID, UID, UserLab } from "../user-lab.ts";

const lab = new UserLab();
after(() => lab[Symbol.dispose]());
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };
const isUnified = existsSync("/sys/fs/cgroup/cgroup.controllers");
const v1 = { skip: isUnified ? "this machine has cgroup v2 alone" : false };

const without = (kind: string) => (config: Config) => {
  config.linux.namespaces = config.linux.namespaces.filter(({ type }: { type: string }) => type !== kind);
};

describe("runc spec --rootless", () => {
  test("leaves out and puts in what the original does", both, () => {
    const script = (runtime: string) =>
      `mkdir $HOME/spec; cd $HOME/spec && ${runtime} spec --rootless && cat config.json; rm -r $PWD`;
    const made = (runtime: string) => {
      const { mounts, linux } = JSON.parse(lab.sh(script(runtime)).stdout);
      const { namespaces, uidMappings, gidMappings, resources } = linux;
      return { mounts, namespaces, uidMappings, gidMappings, resources };
    };
    assert.deepEqual(made(OURS), made(ORIGINAL));
    assert.deepEqual(made(OURS).gidMappings, [{ containerID: 0, hostID: GID, size: 1 }]);
  });
});

describe("a container of a user without rights", () => {
  test("has the user's own ids as root, and setgroups denied", () => {
    const result = lab.runContainer(["sh", "-c", "id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups"]);
    const shown = result.stdout.replace(/ +/g, " ");
    assert.equal(shown, `uid=0 gid=0\n 0 ${UID} 1\n 0 ${GID} 1\ndeny\n`, result.stderr);
  });

  test("has whole ranges of ids through newuidmap and newgidmap", () => {
    const script = "id; cat /proc/self/uid_map /proc/self/gid_map; echo here > /proc/self/fd/2";
    lab.configure(["sh", "-c", script], (config: Config) => {
      lab.withRanges(config);
      config.process.user = { uid: 1000, gid: 1000 };
    });
    // A pipe, which the container's user is to own.
    const result = lab.sh(`$RUNC run ${lab.newId()} 2>&1 | cat`);
    const ranges = [UID, SUB_UID, GID, SUB_GID].map(
      (first, at) => ` ${at % 2} ${first} ${at % 2 === 0 ? 1 : RANGE - 1}\n`,
    );
    assert.equal(result.stdout.replace(/ +/g, " "), `uid=1000 gid=1000\n${ranges.join("")}here\n`);
  });

  test("needs neither a network nor a sysfs of its own, and has the host's devices", () => {
    const result = lab.runContainer(["sh", "-c", "echo x > /dev/null; ls -ln /dev/null; mount | grep ' /sys '"]);
    assert.match(result.stdout, /^crw-rw-rw- .* 65534 +65534 +1, +3 .*\nsysfs on \/sys type sysfs \(ro,/);
  });

  test("can have a network, sysctls, a clock and limits of its own", () => {
    const script = "ip -o link | cut -d' ' -f2; cat /proc/sys/kernel/shmmni /proc/sys/net/ipv4/ip_forward; ulimit -n";
    const result = lab.runContainer(["sh", "-c", `${script}; cat /proc/self/oom_score_adj /proc/uptime`], (config) => {
      config.linux.namespaces.push({ type: "network" }, { type: "time" });
      config.linux.timeOffsets = { boottime: { secs: 5_000_000 } };
      config.linux.sysctl = { "kernel.shmmni": "99", "net.ipv4.ip_forward": "1" };
      config.process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 33, hard: 44 }];
      config.process.oomScoreAdj = 444;
    });
    assert.match(result.stdout, /^lo:\n99\n1\n33\n444\n50\d{5}\./, result.stderr);
  });

  test("sees the cgroups of its runtime read-only, where it has none of its own", v1, () => {
    const result = lab.runContainer([
      "sh",
      "-c",
      "mount | grep 'on /sys/fs/cgroup/pids '; echo 0 > /sys/fs/cgroup/pids/tasks",
    ]);
    assert.match(result.stdout.trim().split("\n").at(-1)!, /cgroup \(ro,nosuid,nodev,noexec,relatime,pids\)/);
    assert.match(result.stderr, /Read-only file system/);
  });

  test("has a terminal that its user owns", () => {
    lab.configure(["sh", "-c", "tty; stat -c %u /dev/pts/0"], (config: Config) => {
      config.process.terminal = true;
      lab.withRanges(config);
      config.process.user = { uid: 7, gid: 7 };
    });
    const result = lab.sh(`(sleep 1) | script -qefc "$RUNC run ${lab.newId()}" /dev/null`);
    assert.match(result.stdout, /\/dev\/pts\/0\r?\n7\r?\n/);
  });

  test("keeps the user's executable out of the container's reach", () => {
    const copy = join(lab.run, "own-runc");
    copyFileSync(OURS, copy);
    chownSync(copy, UID, GID);
    lab.configure(["sleep", "100"]);
    const id = lab.newId();
    const create = (runtime: string) =>
      `${runtime} create --pid-file $HOME/pid ${id} </dev/null >/dev/null 2>&1; p=$(cat $HOME/pid)`;
    const write = lab.sh(
      `${create(copy)}; exec 5</proc/$p/exe; ${copy} delete -f ${id}; sleep 0.2; : >> /proc/self/fd/5`,
    );
    assert.match(write.stderr, /Read-only file system/);
    // From a file that has no name any more there is no way to a mount: then memory holds the copy.
    const create7 = `exec 7< ${copy}; rm ${copy}; r=/proc/$$/fd/7; ${create("$r")}`;
    assert.match(lab.sh(`${create7}; readlink /proc/$p/exe; $r delete -f ${id}`).stdout, /memfd:runtime/);
  });
});

/** What config.json asks, and the sentence it is refused with. */
const gid5 = (config: Config) => config.mounts.find(({ type }: Config) => type === "devpts").options.push("gid=5");
const idmap = (config: Config) =>
  config.mounts.push({ source: "/tmp", destination: "/mnt", type: "bind", options: ["bind", "idmap"] });
const limits = (config: Config) => {
  config.linux.resources = { pids: { limit: 20 } };
};
const REFUSED: readonly (readonly [what: string, bend: (config: Config) => void, sentence: RegExp])[] = [
  [
    "a container without a user namespace",
    (config) => {
      without("user")(config);
      delete config.linux.uidMappings;
      delete config.linux.gidMappings;
    },
    /rootless container requires user namespaces/,
  ],
  ["no mappings", (config) => delete config.linux.uidMappings, /user namespaces enabled, but no uid mappings found/],
  [
    "a root that is not mapped",
    (config) => {
      config.linux.gidMappings[0].containerID = 1;
    },
    /no mapping found for gid 0/,
  ],
  ["a mount option with an id that is not mapped", gid5, /cannot specify gid=5 mount option for rootless container/],
  ["id-mapped mounts", idmap, /id-mapped mounts are not supported for rootless containers/],
  [
    "more groups",
    (config) => {
      config.process.user.additionalGids = [5];
    },
    /cannot set any additional groups in a rootless container/,
  ],
  [
    "a user that is not mapped",
    (config) => {
      config.process.user.uid = 1000;
    },
    /cannot setuid to unmapped uid 1000 in user namespace/,
  ],
  [
    "ids that are somebody else's",
    (config) => {
      lab.withRanges(config);
      config.linux.uidMappings[1].hostID = 100_000;
    },
    /failed to use newuid map on \d+: newuidmap: uid range \[1-65536\) -> \[100000-165535\) not allowed/,
  ],
  [
    "a lower oom_score_adj",
    (config) => {
      config.process.oomScoreAdj = -500;
    },
    /write -500 to oom_score_adj: permission denied/,
  ],
  [
    "a cgroup by name",
    (config) => {
      config.linux.cgroupsPath = "/nowhere/x";
    },
    /unable to apply cgroup configuration: mkdir \/sys\/fs\/cgroup\/.*nowhere: permission denied/,
  ],
  [
    "limits without a cgroup",
    limits,
    /cannot set pids limit: container could not join or create cgroup|rootless needs no limits \+ no cgrouppath when/,
  ],
];
describe("a user without rights is refused", () => {
  for (const [what, bend, sentence] of REFUSED) {
    test(what, () => {
      const result = lab.runContainer(["true"], bend);
      assert.equal(result.status, 1);
      assert.match(result.stderr, sentence);
      assert.deepEqual(lab.leftovers(), []);
    });
  }

  test("ranges, where the programs that map them are not found at an absolute place of PATH", () => {
    lab.configure(["true"], (config: Config) => lab.withRanges(config));
    const result = lab.sh(`ln -s "$(command -v newuidmap)" . ; PATH=.:/nowhere exec $RUNC run ${lab.newId()}`);
    assert.match(result.stderr, /failed to use newuid map on \d+: mapping tool not present/);
    lab.sh("rm newuidmap");
  });

  test("a root directory that it cannot write to", () => {
    const result = lab.sh("$RUNC list", { XDG_RUNTIME_DIR: "/proc" });
    assert.equal(result.status, 1);
    assert.match(result.stderr, /^the path in \$XDG_RUNTIME_DIR must be writable by the user\n.*mkdir \/proc\/runc/);
  });
});

describe("the life of a rootless container", () => {
  test("goes from create to delete, with exec before and after start", () => {
    lab.configure(["sleep", "100"], (config: Config) => lab.withRanges(config));
    const id = lab.newId();
    const lines = [
      `$RUNC create ${id} </dev/null >/dev/null 2>&1; echo created $?`,
      `$RUNC exec ${id} id`,
      `$RUNC start ${id}; $RUNC list -q`,
      `$RUNC exec -u 5:6 ${id} sh -c 'id; for p in self 1; do readlink /proc/$p/ns/user; done | sort -u | wc -l'`,
      `$RUNC state ${id} | grep -c running`,
      `stat -c %a $XDG_RUNTIME_DIR/runc`,
      `$RUNC kill ${id} KILL; sleep 0.3; $RUNC delete ${id}; echo deleted $?; $RUNC list -q`,
    ];
    const result = lab.sh(lines.join("\n"));
    const expected = ["created 0", "uid=0 gid=0", id, "uid=5 gid=6", "1", "1", "1700", "deleted 0", ""];
    assert.equal(result.stdout, expected.join("\n"), result.stderr);
  });

  test("says of each command that needs a cgroup that there is none", v1, () => {
    const id = lab.start();
    const said = (command: string) => lab.sh(`$RUNC ${command}`).stderr.replace(/^.*msg="(.*)"\n$/s, "$1");
    const missing = "cgroups not configured for container";
    assert.equal(said(`pause ${id}`), `cannot toggle freezer: ${missing}`);
    assert.equal(said(`resume ${id}`), "container not paused");
    assert.equal(said(`ps ${id}`), `unable to get all container pids: ${missing}`);
    assert.equal(said(`kill --all ${id} KILL`), missing);
    const update = said(`update --pids-limit 10 ${id}`);
    assert.equal(update, "cannot set pids limit: container could not join or create cgroup");
    assert.equal(JSON.parse(lab.sh(`$RUNC events --stats ${id}`).stdout).data.pids.current ?? 0, 0);
    const record = JSON.parse(readFileSync(join(lab.run, "runc", id, "state.json"), "utf8"));
    assert.deepEqual([record.rootless, record.cgroup_paths], [true, {}]);
    assert.equal(lab.sh(`$RUNC delete --force ${id}`).status, 0);
  });

  test("ends with its first process alone, where others are in no cgroup and share the host's pids", v1, () => {
    const id = lab.start((config: Config) => {
      without("pid")(config);
      config.mounts = config.mounts.filter(({ destination }: Config) => destination !== "/proc");
      config.linux.maskedPaths = config.linux.readonlyPaths = [];
    });
    assert.match(
      readFileSync(join(lab.run, "log"), "utf8"),
      /Creating a rootless container with no cgroup and no private/,
    );
    assert.match(
      lab.sh(`$RUNC kill ${id} KILL`).stderr,
      /failed to kill all processes, possibly due to lack of cgroup/,
    );
    assert.equal(lab.sh(`sleep 0.3; $RUNC delete ${id}`).status, 0);
  });
});

describe("with cgroups that were given to the user", v1, () => {
  const hierarchies = isUnified ? [] : readdirSync("/sys/fs/cgroup").filter((name) => name !== "unified");
  const places = hierarchies.map((name) => join("/sys/fs/cgroup", name));
  const name = `gantry-${lab.tag}`;
  before(() => {
    for (const place of places) {
      mkdirSync(join(place, name));
      spawnSync("chown", ["-R", `${UID}:${GID}`, join(place, name)]);
      const cpuset = "for f in cpus mems; do cat ../cpuset.$f > cpuset.$f; done";
      if (place.endsWith("cpuset")) spawnSync("sh", ["-c", cpuset], { cwd: join(place, name) });
    }
  });
  after(() => {
    for (const place of places) rmdirSync(join(place, name));
  });

  for (const [whose, bend] of [
    ["the user itself", () => {}],
    [
      "one of its subordinate ids",
      (config: Config) => {
        config.linux.uidMappings = [{ containerID: 0, hostID: SUB_UID, size: RANGE }];
        config.linux.gidMappings = [{ containerID: 0, hostID: SUB_GID, size: RANGE }];
      },
    ],
  ] as const) {
    test(`limits, pause, ps and update work when root is ${whose}`, () => {
      const id = lab.start((config: Config) => {
        bend(config);
        config.linux.cgroupsPath = `/${name}/${lab.tag}-x`;
        config.linux.resources = { pids: { limit: 20 }, memory: { limit: 50 << 20 } };
      });
      const limit = () => readFileSync(`/sys/fs/cgroup/pids/${name}/${lab.tag}-x/pids.max`, "utf8");
      assert.equal(limit(), "20\n");
      assert.equal(JSON.parse(lab.sh(`$RUNC ps -f json ${id}`).stdout).length, 1);
      assert.match(lab.sh(`$RUNC exec ${id} cat /proc/self/cgroup`).stdout, new RegExp(`pids:/${name}/${lab.tag}-x`));
      assert.equal(lab.sh(`$RUNC pause ${id}; $RUNC state ${id} | grep -c paused; $RUNC resume ${id}`).stdout, "1\n");
      assert.equal(lab.sh(`$RUNC update --pids-limit 30 ${id}`).status, 0);
      assert.equal(limit(), "30\n");
      assert.equal(lab.sh(`$RUNC delete --force ${id}`).status, 0);
      assert.equal(existsSync(`/sys/fs/cgroup/pids/${name}/${lab.tag}-x`), false);
    });
  }
});

describe("who is root in a user namespace alone", () => {
  const namespaces = [
    ["of the user's mounts", ["unshare", "-Ur"]],
    ["with mounts of its own", ["unshare", "-Urm"]],
  ] as const;
  for (const [what, command] of namespaces) {
    test(`runs an ordinary container, ${what}`, () => {
      lab.configure(["sh", "-c", "id; echo x > /dev/null && echo device; cat /proc/self/uid_map"], (config: Config) => {
        without("user")(config);
        delete config.linux.uidMappings;
        delete config.linux.gidMappings;
        config.process.user.additionalGids = [5];
      });
      const id = lab.newId();
      const result = lab.sh(`$RUNC run ${id}; ls $XDG_RUNTIME_DIR/runc`, {}, command);
      assert.match(result.stdout, new RegExp(`^uid=0 gid=0\ndevice\n +0 +${UID} +1\n`), result.stderr);
      assert.match(
        lab.sh(`$RUNC --rootless=false run ${id}`, {}, command).stderr,
        /unable to apply cgroup configuration/,
      );
      assert.match(lab.sh(`$RUNC --rootless=perhaps run ${id}`, {}, command).stderr, /strconv.ParseBool: parsing/);
    });
  }

  test("waits for its start also in the pids of the machine", () => {
    lab.configure(["sh", "-c", "echo began > /tmp/began; sleep 100"], (config: Config) => {
      for (const kind of ["user", "pid"]) without(kind)(config);
      delete config.linux.uidMappings;
      delete config.linux.gidMappings;
      const proc = { destination: "/proc", type: "bind", source: "/proc", options: ["rbind"] };
      config.mounts = config.mounts.map((mount: Config) => (mount.destination === "/proc" ? proc : mount));
    });
    const id = lab.newId();
    const life = `$RUNC create ${id} </dev/null >/dev/null 2>&1 && $RUNC start ${id}; sleep 0.3; cat rootfs/tmp/began`;
    assert.equal(lab.sh(`${life}; $RUNC delete -f ${id} 2>/dev/null`, {}, ["unshare", "-Urm"]).stdout, "began\n");
  });
});

test("after all of this nothing is left", () => assert.deepEqual(lab.leftovers(), []));
