// What docker asks of a daemon, ours beside the original client: the same command line has to become the same requests,
// field by field. The daemon is a recorder, so no container is needed; the original client is version 28.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import type { Listener } from "../../base/runtime.ts";
import { listenUnix } from "../../runtime/node/socket.ts";
import { readWhole } from "../../wire/http/body.ts";
import { parseQuery } from "../../wire/http/query.ts";
import { type Handler, serveConnection } from "../../wire/http/server.ts";

const ORIGINAL = "/usr/local/bin/docker";
const OURS = path.resolve(process.env["GANTRY_BIN"] ?? "dist/bin", "docker");
const folder = mkdtempSync(path.join(tmpdir(), "gantry-requests-"));
const socket = path.join(folder, "d.sock");

interface Request {
  line: string;
  query: Record<string, unknown>;
  body: unknown;
}

let requests: Request[] = [];
let listener: Listener;

const record: Handler = async (request, responder) => {
  const body = decodeUtf8(await readWhole(request.body, 1 << 20)).trim();
  const target = request.path.replace(/^\/v1\.\d+/, "");
  const json = request.headers.get("content-type") === "application/json";
  const fields = [...(parseQuery(request.query) ?? [])].map(
    ([name, values]) => [name, parseField(name, values)] as const,
  );
  if (target !== "/_ping") {
    const line = `${request.method} ${target}`;
    requests.push({ line, query: Object.fromEntries(fields.sort()), body: json ? JSON.parse(body) : body });
  }
  const headers: [string, string][] = [
    ["Content-Type", "application/json"],
    ["Api-Version", "1.50"],
    ["Ostype", "linux"],
  ];
  const send = (status: number, text: string) => responder.send(status, headers, encodeUtf8(text));
  if (target === "/_ping") return send(200, "");
  if (target.endsWith("/create")) return send(201, '{"Id":"abc","Warnings":[],"Name":"v"}');
  if (target.endsWith("/archive")) return send(404, '{"message":"no such path"}');
  if (request.method === "GET" && /^\/containers\/[^/]+\/json$/.test(target)) {
    return send(200, '{"Id":"abc","State":{"Running":true},"Config":{"Tty":false},"HostConfig":{}}');
  }
  if (request.method === "GET") return send(200, target === "/volumes" ? "{}" : "[]");
  return send(400, '{"message":"recorded"}');
};

/** Times differ from run to run; filters are JSON inside a text. */
function parseField(name: string, values: string[]): unknown {
  if (name === "filters" || name === "platform")
    return values.map((value) => (value.startsWith("{") ? JSON.parse(value) : value));
  if (name === "since" || name === "until") return values.map((value) => value.replace(/\d{5}\.\d{9}$|\d{5}$/, "T"));
  return values;
}

async function requestsOf(program: string, args: readonly string[]): Promise<Request[]> {
  requests = [];
  const env = { PATH: process.env["PATH"], HOME: folder, DOCKER_HOST: `unix://${socket}`, FROM_ENV: "value" };
  await new Promise<void>((resolve) => {
    const child = execFile(program, args, { env, cwd: folder, timeout: 20_000 }, () => resolve());
    // A command may end before it reads any input.
    child.stdin?.on("error", () => {});
    child.stdin?.end("input");
  });
  return requests;
}

/** Flags of create, each compared alone in the body of the request. */
const CREATE_FLAGS = `
-i | -t | -it | -a stdin -a stdout | -a stderr | --name x | --rm | --init | --init=false | --entrypoint sh
--entrypoint= | -e A=1 -e B= -e FROM_ENV -e NOT_THERE | --env-file env.list | --env-file env.list -e A=2
-u 1:2 | -w /tmp | -l a=b -l c | --label-file labels | --restart on-failure:3 | --restart always
--restart unless-stopped | --stop-signal INT | --stop-timeout 5 | --stop-timeout 0 | --pull never
--platform linux/amd64 | -h host | --domainname dom | --annotation a=b | --runtime other | --log-driver none
--log-driver json-file --log-opt max-size=1m --log-opt tag | --network host | --network none
--network web --network-alias a --network-alias b
--network name=web,alias=A,ip=10.0.0.2,mac-address=02:42:ac:11:00:02 | --net web | --network a --network b
--network web --ip 10.0.0.3 --ip6 fd00::3 --link-local-ip 169.254.1.1 | --mac-address 02:42:ac:11:00:02
--network name=web,driver-opt=k=v,gw-priority=5 | -p 80 | -p 8080:80 | -p 127.0.0.1:8080:80/udp
-p 8000-8002:80-82 | -p 8000-8010:80 | -p [::1]:80:80 | -p 127.0.0.1::80
-p published=81,target=80,protocol=udp | -P | --expose 80 --expose 90-92/udp | -p 80:80 -p 81:80
--add-host a:1.2.3.4 --add-host b=::1 | --add-host c:host-gateway
--dns 1.1.1.1 --dns-search x.org --dns-option ndots:1 | --link other | --link other:alias | -v /data
-v vol:/data | -v /a:/b:ro | -v ./rel:/b | -v /a:/b -v /c:/d:rw,z
--mount type=bind,source=/a,target=/b,readonly
--mount type=volume,src=v,dst=/d,volume-nocopy,volume-label=a=b,volume-driver=local,volume-opt=o=1
--mount type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1770 | --mount target=/x
--mount type=bind,src=/a,dst=/b,bind-propagation=rshared,bind-recursive=disabled
--mount type=bind,src=/a,dst=/b,bind-recursive=readonly,bind-propagation=rprivate,readonly
--mount type=image,src=busybox,dst=/i,image-subpath=/etc | --mount type=volume,src=v,dst=/d,volume-subpath=sub
--tmpfs /run | --tmpfs /run:rw,size=1m | --volumes-from a:ro | --volume-driver local | --storage-opt size=1g
--read-only | --shm-size 128m | -m 512m | -m 1.5g --memory-swap -1 | --memory-swap 1g --memory-reservation 100m
--memory-swappiness 10 | --cpus 1.5 | --cpus 0.001 | -c 512 | --cpu-period 100000 --cpu-quota 50000
--cpu-rt-period 1 --cpu-rt-runtime 2 | --cpuset-cpus 0-1 --cpuset-mems 0 | --pids-limit 100 | --pids-limit -1
--ulimit nofile=1024:2048 --ulimit core=0 | --oom-kill-disable | --oom-score-adj 500 | --cgroup-parent /x
--cgroupns host | --blkio-weight 500 | --blkio-weight-device /dev/sda:200
--device-read-bps /dev/sda:1mb --device-write-bps /dev/sdb:2kb
--device-read-iops /dev/sda:10 --device-write-iops /dev/sda:20 | --device /dev/null
--device /dev/null:/dev/x:rw | --device /dev/null:r | --device-cgroup-rule 'c 1:3 r' | --gpus all | --gpus 2
--privileged | --cap-add NET_ADMIN --cap-add SYS_TIME --cap-drop ALL | --security-opt no-new-privileges
--security-opt seccomp=unconfined --security-opt apparmor=x | --security-opt label:disable
--security-opt seccomp=profile.json | --security-opt systempaths=unconfined | --userns host | --pid host
--pid container:x | --ipc host | --ipc shareable | --uts host | --group-add 10 --group-add wheel
--sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=1 | --kernel-memory 50m
--health-cmd true --health-interval 5s --health-retries 3 --health-timeout 1m --health-start-period 2s \
--health-start-interval 1s
--no-healthcheck | --health-interval 1500ms
--isolation default | --cpu-count 2 --cpu-percent 10 --io-maxiops 3 --io-maxbandwidth 1m
`;

const COMMANDS = `
ps | ps -a | ps -n 3 -s -f name=x -f label=a -f label=b | ps -l | ps -q | ps --format {{.Size}} | images
images foo | images -a -f dangling=true | images --digests | rm -f -v x y | rm -l x | stop x
stop -t 5 -s HUP x | restart -t 0 x | kill x | kill -s 9 x | pause x | unpause x | rename x y | wait x
start x y | top x | top x -o pid,cmd | port x | diff x | logs x | logs -f --tail 5 -t x
logs --since 10 --until 20 --details x | logs --since 2020-01-02T03:04:05Z x | inspect --type container -s x
container inspect x | image inspect x | volume inspect x | network inspect -v x | exec x ls -l
exec -e A=1 -e FROM_ENV -u 0 -w /tmp --privileged x ls | exec -d x ls | exec -i x cat
exec --env-file env.list x true | rmi x | rmi -f --no-prune a b/c:d | tag a b/c:d | tag a:b localhost:5000/x
history x | pull x | pull x:y -q
pull localhost:5000/a/b@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | push x
push -a localhost:5000/x | save a b | export x | load | load -q | import - foo
import -c 'CMD a' -m msg - foo:bar | commit x | commit -a me -m msg -c 'CMD a' -p=false x foo:bar | attach x
search -f is-official=true --limit 5 x | update -m 50m x | update --cpus 2 --pids-limit 5 --restart always x
cp x:/a /tmp | cp - x:/a | volume ls -f driver=local | volume create
volume create -d local -o a=b --label c=d foo | volume rm -f x | volume prune -f
volume prune -af --filter label=a | network ls -f driver=bridge | network create foo
network create -d bridge --subnet 10.0.0.0/24 --gateway 10.0.0.1 --ip-range 10.0.0.0/25 --aux-address \
a=10.0.0.5 --internal --ipv6 -o a=b --label c=d foo
network connect --ip 10.0.0.2 --alias a x y | network disconnect -f x y | network prune -f | system df | info
version | events --since 1h --until 2h -f type=container | system prune -f | image prune -f
image prune -a -f --filter until=5m | container prune -f --filter label!=x | container ls | image ls
image rm x
`;

const SKIP =
  !existsSync(ORIGINAL) || !existsSync(OURS)
    ? `needs ${ORIGINAL} and ${OURS}`
    : process.env["SKIP_SWAP"]
      ? "asked"
      : false;

describe("docker asks what the original asks", { skip: SKIP }, () => {
  before(async () => {
    writeFileSync(path.join(folder, "env.list"), "# comment\nA=1\n\nB=two words\nFROM_ENV\nNOT_THERE\n");
    writeFileSync(path.join(folder, "labels"), "l1=v1\nl2\n");
    writeFileSync(path.join(folder, "profile.json"), '{ "defaultAction": "SCMP_ACT_ALLOW" }');
    listener = await listenUnix(socket, { mode: 0o600 });
    void accept();
  });
  after(() => {
    listener.close();
    rmSync(folder, { recursive: true });
  });
  for (const flags of split(CREATE_FLAGS)) compare(["create", ...flags, "busybox", "a", "-b"]);
  for (const args of split(COMMANDS)) compare(args);
});

async function accept(): Promise<void> {
  for (let stream = await listener.accept(); stream !== null; stream = await listener.accept()) {
    void serveConnection(stream, record);
  }
}

function compare(args: string[]): void {
  test(`docker ${args.join(" ")}`, async () => {
    const original = await requestsOf(ORIGINAL, args);
    assert.deepEqual(comparable(await requestsOf(OURS, args)), comparable(original));
  });
}

/** The original orders variables and binds by chance, and works on several names at once. */
function comparable(made: readonly Request[]): unknown {
  const sorted = made.map((request) => {
    const body = request.body as { Env?: string[] | null; HostConfig?: { Binds?: string[] | null } } | null;
    body?.Env?.sort();
    body?.HostConfig?.Binds?.sort();
    return request;
  });
  const several = made.filter((request) => request.line.startsWith("DELETE")).length > 1;
  return withoutDefaults(several ? sorted.sort((a, b) => (a.line < b.line ? -1 : 1)) : sorted);
}

/** Fields that mean the same when they are left out, and those of Windows and of years ago. */
function withoutDefaults(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDefaults);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).filter(([name, field]) => !(LEFT_OUT.has(name) && !field));
  return Object.fromEntries(entries.map(([name, field]) => [name, withoutDefaults(field)]));
}

const LEFT_OUT = new Set(
  [
    "CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth KernelMemoryTCP NetworkID EndpointID Gateway",
    "IPAddress IPPrefixLen IPv6Gateway GlobalIPv6Address GlobalIPv6PrefixLen DNSNames MacAddress",
    "BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpuShares CpusetCpus CpusetMems",
    "Memory MemoryReservation MemorySwap NanoCpus PidsLimit CgroupParent BlkioWeightDevice",
    "BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps Devices Ulimits",
    "DeviceCgroupRules DeviceRequests OomKillDisable MemorySwappiness",
  ].flatMap((line) => line.split(" ")),
);

/** Command lines stand between bars; words may stand in single quotes. */
function split(text: string): string[][] {
  return text
    .split(/[|\n]/)
    .map((line) => [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2]!))
    .filter((words) => words.length > 0);
}
