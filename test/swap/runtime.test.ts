// Our runc as a runtime of the real dockerd and containerd: the verbs of every day, each told once with the original
// runtime and once with ours on the same daemon, with the same words and exit codes.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { after, before, describe, test } from "node:test";
import { ORIGINALS, REMAPPED, RuntimeEngine } from "./runtime-engine.ts";

const missing = ORIGINALS.filter((path) => !existsSync(path));
const skip = missing.length > 0 ? `not there: ${missing.join(", ")}` : process.getuid?.() === 0 ? false : "needs root";

/** What it is about, the story, and what both must say. */
type Story = readonly [what: string, story: string, wanted: RegExp | string];

const BEGINNINGS: readonly Story[] = [
  [
    "run gives output, errors and code",
    "$D run --rm $R busybox sh -c 'exec 2>&1; echo out; echo err >&2; exit 7'; echo $?",
    "out\nerr\n7\n",
  ],
  ["run -i hands on its input", "echo given | $D run --rm -i $R busybox cat", "given\n"],
  ["run -t gives a terminal", "$D run --rm -t $R busybox tty", "/dev/pts/0\r\n"],
  [
    "run -d and logs",
    "$D run -d $R busybox sh -c 'echo one; echo two >&2' >/dev/null; $D wait $N; $D logs $N 2>&1 | sort",
    "0\none\ntwo\n",
  ],
  [
    "a program that is not there: 127",
    "$D run --rm $R busybox nope; echo $?",
    /executable file not found in \$PATH[\s\S]*127\n$/,
  ],
  ["a path that is not there: 127", "$D run --rm $R busybox /nope; echo $?", /no such file or directory[\s\S]*127\n$/],
  ["a file that is no program: 126", "$D run --rm $R busybox /etc/passwd; echo $?", /permission denied[\s\S]*126\n$/],
  ["a directory as program: 126", "$D run --rm $R busybox /etc; echo $?", /permission denied|is a directory/],
  ["a working directory that is a file", "$D run --rm $R -w /etc/passwd busybox true; echo $?", /12[567]\n$/],
  ["a user that is not there: 125", "$D run --rm $R -u nosuch busybox true; echo $?", /125\n$/],
  [
    "a bind whose source is a file, on a directory",
    "echo x > $T/f; $D run --rm $R -v $T/f:/etc busybox true; echo $?",
    /12[567]\n$/,
  ],
  ["a setting that is not allowed", "$D run --rm $R --sysctl kernel.panic=1 busybox true; echo $?", /12[567]\n$/],
  ["--init", '$D run --rm $R --init busybox sh -c \'tr "\\0" " " < /proc/1/cmdline\'', /docker-init/],
  [
    "--read-only and --tmpfs",
    "$D run --rm $R --read-only --tmpfs /t:size=1m " +
      "busybox sh -c 'exec 2>&1; touch /x; touch /t/x && df -k /t | tail -1'",
    /Read-only[\s\S]*1024/,
  ],
  ["--hostname", "$D run --rm $R --hostname there busybox hostname", "there\n"],
  ["--uts host", "$D run --rm $R --uts host busybox hostname", `${hostname()}\n`],
];

const RIGHTS: readonly Story[] = [
  ["the default rights", "$D run --rm $R busybox grep -E 'Cap|NoNew|Seccomp:' /proc/self/status", /CapEff:\t0000/],
  [
    "--cap-drop and --cap-add",
    "$D run --rm $R --cap-drop ALL --cap-add NET_ADMIN busybox grep Cap /proc/self/status",
    /CapBnd:\t0000000000001000/,
  ],
  ["rights of another user", "$D run --rm $R -u 5:6 busybox sh -c 'id; grep Cap /proc/self/status'", /uid=5/],
  [
    "no-new-privileges",
    "$D run --rm $R --security-opt no-new-privileges busybox grep NoNew /proc/self/status",
    "NoNewPrivs:\t1\n",
  ],
  [
    "seccomp=unconfined",
    "$D run --rm $R --security-opt seccomp=unconfined busybox grep Seccomp: /proc/self/status",
    "Seccomp:\t0\n",
  ],
  [
    "seccomp with an own profile",
    `echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}' > $T/p.json
     $D run --rm $R --security-opt seccomp=$T/p.json busybox mkdir /made; echo $?`,
    /Operation not permitted\n1\n/,
  ],
  ["--ulimit", "$D run --rm $R --ulimit nofile=100:200 busybox sh -c 'ulimit -Sn; ulimit -Hn'", "100\n200\n"],
  [
    "--device",
    "$D run --rm $R --device /dev/fuse:/dev/other:r busybox sh -c 'exec 2>&1; ls -l /dev/other | cut -c1-10; " +
      "echo x > /dev/other'",
    /crw.*\n.*not permitted/,
  ],
  ["a device that nobody gave", "$D run --rm $R busybox sh -c 'exec 2>&1; mknod /n b 7 0; cat /n'", /not permitted/],
  [
    "--sysctl",
    "$D run --rm $R --sysctl net.ipv4.ip_default_ttl=77 busybox cat /proc/sys/net/ipv4/ip_default_ttl",
    "77\n",
  ],
  [
    "masked and read-only paths",
    "$D run --rm $R busybox sh -c 'exec 2>&1; ls /sys/firmware; ls -l /proc/timer_list | cut -c1-10; " +
      "echo 1 > /proc/sys/vm/swappiness'",
    /crw.*\n.*Read-only/,
  ],
];

const LIMITS: readonly Story[] = [
  ["--shm-size", "$D run --rm $R --shm-size 8m busybox df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", "8192\n"],
  ["--pids-limit", "$D run --rm $R --pids-limit 20 busybox cat /sys/fs/cgroup/pids/pids.max", "20\n"],
  [
    "--memory and --cpus",
    "$D run --rm $R --memory 32m --cpus 0.5 busybox sh -c 'cd /sys/fs/cgroup; " +
      "cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us'",
    "33554432\n50000\n",
  ],
  [
    "--memory, exceeded",
    "$D run $R --memory 16m --memory-swap 16m busybox sh -c 'exec tail /dev/zero'; echo $?; " +
      "sleep 1; $D inspect -f '{{.State.OOMKilled}}' $N",
    "137\ntrue\n",
  ],
  [
    "update",
    `$D run -d $R --memory 32m busybox sleep 100 >/dev/null
     $D update --memory 64m --memory-swap 64m --cpus 0.25 --pids-limit 50 $N
     $D exec $N sh -c 'cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us pids/pids.max'`,
    /NAME\n67108864\n25000\n50\n/,
  ],
  [
    "stats and top",
    "$D run -d $R busybox sleep 100 >/dev/null; " +
      "$D stats --no-stream --format '{{.Name}} {{.PIDs}}' $N; $D top $N -o pid,args " +
      "| tail -n +2 | sed 's/^ *[0-9]* *//'",
    /NAME 1\nsleep 100\n/,
  ],
];

const LIFE: readonly Story[] = [
  [
    "stop, start, restart, kill",
    `W='trap "exit 3" TERM; trap "echo got" USR1; echo up; while :; do sleep 0.1; done'
     $D run -d $R busybox sh -c "$W" >/dev/null
     sleep 0.5; $D kill -s USR1 $N; sleep 0.5; $D stop -t 5 $N; $D inspect -f '{{.State.ExitCode}}' $N
     $D start $N; sleep 0.5; $D restart -t 5 $N; sleep 0.5; $D kill $N; $D wait $N; $D logs $N`,
    "NAME\nNAME\n3\nNAME\nNAME\nNAME\n137\nup\ngot\nup\nup\n",
  ],
  [
    "stop of what does not listen",
    "$D run -d $R busybox sleep 100 >/dev/null; $D stop -t 1 $N; " +
      "$D inspect -f '{{.State.Status}} {{.State.ExitCode}}' $N",
    "NAME\nexited 137\n",
  ],
  [
    "pause and unpause",
    `$D run -d $R busybox sleep 100 >/dev/null; $D pause $N; $D inspect -f '{{.State.Status}}' $N
     $D exec $N true; echo $?; $D unpause $N; $D exec $N echo in`,
    /NAME\npaused\n.*is paused.*\n1\nNAME\nin\n/,
  ],
  [
    "exec with all its flags",
    `$D run -d $R busybox sleep 100 >/dev/null; echo given | $D exec -i $N cat; $D exec -t $N tty
     $D exec -u 5:6 -w /tmp -e A=b $N sh -c 'id; pwd; echo $A'; $D exec $N sh -c 'exit 9'; echo $?
     $D exec $N nope; echo $?; $D exec $N /etc/passwd; echo $?; $D exec -w /nope $N true; echo $?
     $D exec -d $N touch /was
     sleep 0.5; $D exec $N ls /was`,
    /given\n\/dev\/pts\/\d\r\nuid=5 gid=6.*\n\/tmp\nb\n9\n[\s\S]*126\n[\s\S]*126\n[\s\S]*\/was\n$/,
  ],
  [
    "cp both ways",
    "$D run -d $R busybox sleep 100 >/dev/null; echo data > $T/f; $D cp $T/f $N:/tmp/f; " +
      "$D exec $N cat /tmp/f; $D cp $N:/tmp/f $T/g; cat $T/g",
    "data\ndata\n",
  ],
  [
    "rm -f of what runs",
    "$D run -d $R busybox sleep 100 >/dev/null; $D rm -f $N; $D ps -aq --filter name=$N",
    "NAME\n",
  ],
  [
    "namespaces of another container",
    `L='readlink /proc/self/ns/net /proc/self/ns/pid /proc/self/ns/ipc'
     $D run -d $R --ipc shareable busybox sleep 100 >/dev/null; $D exec $N $L > $T/a
     J="--network container:$N --pid container:$N --ipc container:$N"
     $D run --rm $X $J busybox sh -c "$L; ps | grep -c '[s]leep 100' >&2" > $T/b
     cmp $T/a $T/b && echo same`,
    /1\nsame\n/,
  ],
  [
    "--pid host and --network host",
    "$D run --rm $R --pid host --network host busybox sh -c 'ls /proc 2>/dev/null | grep -c ^[0-9] | sed " +
      "s/..*/many/; ip link | grep -c docker0'",
    "many\n1\n",
  ],
  [
    "volumes, read-only and not",
    "mkdir $T/v; $D run --rm $R -v $T/v:/v -v $T/v:/r:ro " +
      "busybox sh -c 'exec 2>&1; echo w > /v/f; cat /r/f; touch /r/x'",
    /w\n.*Read-only/,
  ],
  [
    "a shared bind",
    `S=$(dirname $T)/shared
     A='--cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined'
     $D run --rm $R $A -v $S:/s:rshared busybox sh -c 'mount -t tmpfs t /s/x && echo seen > /s/x/f'
     cat $S/x/f; umount $S/x`,
    "seen\n",
  ],
];

describe("with our runc as runtime, the real docker's verbs are as with the original", { skip }, () => {
  const engine = new RuntimeEngine({ remap: false });
  before(() => engine.start());
  after(() => engine[Symbol.asyncDispose]());

  for (const [what, story, wanted] of [...BEGINNINGS, ...RIGHTS, ...LIMITS, ...LIFE]) {
    test(what, () => {
      const [ours, original] = [engine.tell(story, "gantry"), engine.tell(story, "runc")];
      assert.equal(ours, original);
      if (typeof wanted === "string") assert.equal(ours, wanted);
      else assert.match(ours, wanted);
    });
  }

  // The original refuses these where the machine lacks a right that they ask for.
  test("--privileged, for run and exec, gives all that the machine has", () => {
    const look = "grep CapEff /proc/self/status; ls /dev | wc -l | sed 's/^..*[0-9]$/many/'";
    assert.match(
      engine.tell(`$D run --rm $R --privileged busybox sh -c "${look}"`, "gantry"),
      /CapEff:\t0000[0-9a-f]+[^0]\n/,
    );
    const exec = `$D run -d $R busybox sleep 100 >/dev/null; $D exec --privileged $N sh -c "${look}"`;
    assert.match(engine.tell(exec, "gantry"), /CapEff:\t0000[0-9a-f]+[^0]\n/);
  });

  test("containers live on while dockerd is killed, and are its own again", async () => {
    const begin =
      "$D run -d --runtime gantry --name lives busybox sh -c 'while :; do date +%s; sleep 0.2; done' >/dev/null";
    engine.tell(begin, "gantry");
    await engine.killDaemon();
    await engine.startDaemon();
    const story =
      "$D ps --filter name=lives --format '{{.State}}'; $D exec lives echo in; $D stop -t 0 lives; $D rm lives";
    assert.equal(engine.tell(story, "gantry"), "running\nin\nlives\nlives\n");
  });
});

describe("with a daemon that maps its containers' ids (--userns-remap)", { skip }, () => {
  const engine = new RuntimeEngine({ remap: true });
  before(() => engine.start());
  after(() => engine[Symbol.asyncDispose]());

  const stories: readonly Story[] = [
    ["run", "$D run --rm $R busybox sh -c 'id -u; cat /proc/self/uid_map | tr -s \" \"'", ` 0 ${REMAPPED} 65536\n`],
    [
      "exec",
      "$D run -d $R busybox sleep 100 >/dev/null; $D exec -u 5 $N id -u; $D exec -t $N tty; $D stop -t 0 $N",
      "5\n/dev/pts/0\r\nNAME\n",
    ],
    ["volumes", "mkdir -m 777 $T/v; $D run --rm $R -v $T/v:/v busybox touch /v/f; stat -c %u $T/v/f", `${REMAPPED}\n`],
    ["--userns host", "$D run --rm $R --userns host busybox cat /proc/self/uid_map | tr -s ' '", " 0 0 4294967295\n"],
  ];
  for (const [what, story, wanted] of stories) {
    test(what, () => {
      const [ours, original] = [engine.tell(story, "gantry"), engine.tell(story, "runc")];
      assert.equal(ours, original);
      assert.ok(ours.endsWith(String(wanted)), ours);
    });
  }
});
