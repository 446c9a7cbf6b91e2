// The life of docker-net: what a failure leaves (nothing), what happens when it is killed, told to stop, or asked by
// somebody it does not know. Each test has network namespaces of its own.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, renameSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { failure, HOST_ADDRESS, Lab, pause, port, program, skip } from "./network-lab.ts";

test("the default pool avoids routes of the host, and a subnet that overlaps one is refused", { skip }, async () => {
  await using lab = new Lab();
  lab.in("host", "ip", "route", "add", "172.17.128.0/24", "via", "10.99.0.2");
  const net = await lab.start();
  const overlap = await failure(net.ensureBridge({ name: "gt1", subnet: "172.17.0.0/16" }));
  assert.equal(overlap, "failed_precondition: the subnet 172.17.0.0/16 overlaps a route or an address of this host");
  assert.deepEqual(pick(await net.ensureBridge({ name: "gt0" })), ["gt0", "172.18.0.0/16", "172.18.0.1"]);
  assert.deepEqual(pick(await net.ensureBridge({ name: "gt0" })), ["gt0", "172.18.0.0/16", "172.18.0.1"]);
  assert.deepEqual(pick(await net.ensureBridge({ name: "gt1", subnet: "10.80.3.9/24" })), [
    "gt1",
    "10.80.3.0/24",
    "10.80.3.9",
  ]);
  const changed = await failure(net.ensureBridge({ name: "gt0", subnet: "10.81.0.0/24" }));
  assert.equal(
    changed,
    "failed_precondition: bridge gt0 has the subnet 172.18.0.0/16 with gateway 172.18.0.1, not 10.81.0.0/24",
  );
});

const pick = (bridge: { name: string; subnet: string; gateway: string }) => [
  bridge.name,
  bridge.subnet,
  bridge.gateway,
];

test("a failed Attach says why in the original's words and leaves nothing", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0", subnet: "10.80.0.0/29" });
  await net.attach({ containerId: "first", bridge: "gt0", ports: [port(80, 8080)] });
  const listen = 'require("node:net").createServer().listen(9999, "0.0.0.0", () => console.log("ready"))';
  const taker = spawn("nsenter", [`--net=${lab.namespaceOf("host")}`, process.execPath, "-e", listen]);
  await new Promise((resolve) => taker.stdout.once("data", resolve));
  const before = lab.traces();
  const attach = (wish: object) => failure(net.attach({ containerId: "second", bridge: "gt0", ...wish }));
  const cases: [object, string][] = [
    [
      { ports: [port(80, 7000), port(80, 8080)] },
      "already_exists: Bind for 0.0.0.0:8080 failed: port is already allocated",
    ],
    [
      { ports: [port(80, 8080, "127.0.0.1")] },
      "already_exists: Bind for 127.0.0.1:8080 failed: port is already allocated",
    ],
    [
      { ports: [port(80, 7000), port(80, 9999)] },
      "failed_precondition: failed to bind port 0.0.0.0:9999/tcp: Error starting userland proxy: " +
        "listen tcp4 0.0.0.0:9999: bind: address already in use",
    ],
    [
      { ports: [port(80, 7000, "192.0.2.7")] },
      "failed_precondition: failed to bind port 192.0.2.7:7000/tcp: Error starting userland proxy: " +
        "listen tcp4 192.0.2.7:7000: bind: cannot assign requested address",
    ],
    [
      { ports: [{ ...port(80, 8080), hostPortEnd: 8080 }] },
      "already_exists: Bind for 0.0.0.0:8080 failed: port is already allocated",
    ],
    [
      { ports: [{ ...port(80), protocol: "sctp" }] },
      "unimplemented: publishing sctp ports is not supported: publish tcp or udp, or use --network host",
    ],
    [{ ports: [port(80, 70_000)] }, "invalid_argument: invalid host port 70000-0"],
    [{ ports: [port(80, 80, "example")] }, "invalid_argument: invalid IP address in port: example"],
    [{ bridge: "gt9" }, "not_found: network bridge gt9 not found"],
    [{ address: "10.80.0.2" }, "failed_precondition: Address already in use"],
    [
      { address: "10.80.0.7" },
      "invalid_argument: invalid address 10.80.0.7: it does not belong to any of this network's subnets",
    ],
    [{ containerId: "../../etc" }, 'invalid_argument: invalid container id "../../etc"'],
  ];
  for (const [wish, sentence] of cases) {
    assert.equal(await attach(wish), sentence);
    assert.equal(lab.traces(), before, sentence);
  }
  for (const id of ["3", "4", "5", "6"]) await net.attach({ containerId: id, bridge: "gt0" });
  assert.equal(
    await attach({}),
    "resource_exhausted: no available IPv4 addresses on this network's address pools: gt0 (10.80.0.0/29)",
  );
  taker.kill();
});

test("a range gives its first free port, and all of them taken is an error", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  const ranged = { ...port(80, 7000), hostPortEnd: 7001 };
  const ports = [];
  for (const containerId of ["a", "b"]) {
    const endpoint = await net.attach({ containerId, bridge: "gt0", ports: [ranged] });
    ports.push(...endpoint.ports.map((one) => `${one.hostIp} ${one.hostPort}`));
  }
  assert.deepEqual(ports, ["0.0.0.0 7000", ":: 7000", "0.0.0.0 7001", ":: 7001"]);
  const full = await failure(net.attach({ containerId: "c", bridge: "gt0", ports: [ranged] }));
  assert.equal(full, "resource_exhausted: all ports are allocated");
});

test("killed -9, the kernel's ports go on, and afterwards it knows and holds everything again", { skip }, async () => {
  await using lab = new Lab();
  let net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  await net.attach({ containerId: "web", bridge: "gt0", ports: [port(80, 8080)] });
  await net.attach({ containerId: "half", bridge: "gt0", ports: [port(80, 8081)] });
  await lab.serve("web", 80, "still here");
  const before = (await net.list({})).endpoints.find((endpoint) => endpoint.containerId === "web");
  await lab.kill("SIGKILL");
  assert.equal(lab.fetch("neighbour", `${HOST_ADDRESS}:8080`), "still here");
  assert.equal(lab.fetch("host", "127.0.0.1:8080"), "");
  // As if it had died in the middle of an Attach.
  const records = join(lab.state, "endpoints");
  renameSync(join(records, "half.json"), join(records, "half.attaching"));
  net = await lab.start();
  assert.deepEqual((await net.list({})).endpoints, [before]);
  assert.equal(existsSync(join(lab.state, "netns/half")), false);
  assert.equal(lab.in("host", "ip", "-br", "link").match(/^veth/gm)?.length, 1);
  for (const place of ["host", "neighbour"] as const) {
    const where = place === "host" ? "127.0.0.1" : HOST_ADDRESS;
    assert.equal(lab.fetch(place, `${where}:8080`), "still here");
  }
  const taken = await failure(net.attach({ containerId: "more", bridge: "gt0", ports: [port(80, 8080)] }));
  assert.equal(taken, "already_exists: Bind for 0.0.0.0:8080 failed: port is already allocated");
  await net.attach({ containerId: "more", bridge: "gt0", ports: [port(80, 8081)] });
  await net.detach({ containerId: "web" });
  assert.equal(lab.fetch("neighbour", `${HOST_ADDRESS}:8080`), "");
});

test("SIGTERM leaves everything in the kernel for the next one", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  await net.attach({ containerId: "web", bridge: "gt0", ports: [port(80, 8080)] });
  await lab.serve("web", 80, "still here");
  assert.equal(await lab.kill("SIGTERM"), 0);
  assert.equal(lab.fetch("neighbour", `${HOST_ADDRESS}:8080`), "still here");
  const again = await lab.start();
  assert.equal((await again.list({})).endpoints.length, 1);
});

test("a flushed rule set is put back with the next container", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  await net.attach({ containerId: "a", bridge: "gt0", ports: [port(80, 8080)] });
  await lab.serve("a", 80, "a");
  lab.in("host", "nft", "flush", "ruleset");
  await net.attach({ containerId: "b", bridge: "gt0", ports: [port(80, 8081)] });
  assert.equal(lab.fetch("neighbour", `${HOST_ADDRESS}:8080`), "a");
  lab.in("host", "nft", "flush", "ruleset");
  await net.detach({ containerId: "b" });
  assert.equal(lab.fetch("neighbour", `${HOST_ADDRESS}:8080`), "a");
});

test("Attach and Detach can be repeated, and Shutdown leaves nothing", { skip }, async () => {
  await using lab = new Lab();
  const before = lab.traces();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  await net.ensureBridge({ name: "gt-1" });
  const wish = { containerId: "a", bridge: "gt0", ports: [port(80)] };
  const first = await net.attach(wish);
  assert.deepEqual(await net.attach(wish), first);
  await net.detach({ containerId: "a" });
  await net.detach({ containerId: "a" });
  await net.detach({ containerId: "never" });
  for (const containerId of ["b", "c"]) await net.attach({ containerId, bridge: "gt0", ports: [port(80)] });
  await net.attach({ containerId: "d", bridge: "gt-1" });
  // A process that outlives the container keeps its namespace, but not its way out.
  const left = spawn("nsenter", [`--net=${lab.namespaceOf({ container: "d" })}`, "sleep", "30"]);
  await pause(50);
  await net.shutdown({});
  assert.equal(await lab.ended, 0);
  left.kill();
  assert.equal(lab.traces(), before);
  assert.equal(existsSync(lab.socket), false);
  assert.equal(lab.log, "");
});

test("a thousand ports of one container are one element each and come and go together", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  const before = lab.traces();
  const ports = Array.from({ length: 1000 }, (_none, at) => port(10_000 + at, 20_000 + at, "0.0.0.0"));
  await net.attach({ containerId: "many", bridge: "gt0", ports });
  const map = lab.in("host", "nft", "list", "map", "ip", "gantry_gt0", "ports");
  assert.equal(map.match(/tcp \. 2\d{4} : 172\.17\.0\.2 \. 1\d{4}/g)?.length, 1000);
  await lab.serve("many", 10_999, "the last");
  assert.equal(lab.fetch("neighbour", `${HOST_ADDRESS}:20999`), "the last");
  assert.equal(lab.fetch("host", "127.0.0.1:20999"), "the last");
  lab.stopServers();
  await net.detach({ containerId: "many" });
  await pause(1500);
  assert.equal(lab.traces(), before);
});

test("where a firewall drops forwarding, DOCKER-USER is used and given back, or the answer says it", {
  skip,
}, async () => {
  await using lab = new Lab();
  const rules =
    "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }";
  lab.in("host", "nft", rules);
  const net = await lab.start();
  const closed = await net.ensureBridge({ name: "gt0" });
  assert.match(
    closed.warnings.join("\n"),
    /the firewall's chain FORWARD of table filter drops forwarded packets: .* gt0 /,
  );
  lab.in("host", "nft", "add chain ip filter DOCKER-USER; add rule ip filter FORWARD jump DOCKER-USER");
  const before = lab.in("host", "nft", "list", "table", "ip", "filter");
  const open = await net.ensureBridge({ name: "gt0" });
  assert.deepEqual(open.warnings, []);
  await net.ensureBridge({ name: "gt0" });
  const guest = lab.in("host", "nft", "list", "chain", "ip", "filter", "DOCKER-USER");
  assert.equal(guest.match(/comment "gantry gt0"/g)?.length, 2);
  await net.attach({ containerId: "a", bridge: "gt0", ports: [port(80, 8080)] });
  await lab.serve("a", 80, "let through");
  assert.equal(lab.fetch("neighbour", `${HOST_ADDRESS}:8080`), "let through");
  await net.shutdown({});
  await lab.ended;
  assert.equal(lab.in("host", "nft", "list", "table", "ip", "filter"), before);
});

test("a second one on the same state, and bad flags, end with a sentence and 1", { skip }, async () => {
  await using lab = new Lab();
  await lab.start();
  const start = (...args: string[]) => spawnSync(program, args, { encoding: "utf8" });
  const second = start("--socket", `${lab.socket}.2`, "--state", lab.state);
  assert.deepEqual([second.status, second.stderr], [1, `docker-net: ${lab.state} is in use by another docker-net\n`]);
  const flag = start("--bogus");
  assert.deepEqual([flag.status, flag.stderr], [1, "docker-net: unknown flag: --bogus\n"]);
  assert.match(start().stderr, /--socket and --state are needed/);
});

test("garbage and foreign users on the socket harm nobody", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  for (const bytes of [Buffer.from("GET / HTTP/1.1\r\n\r\n"), Buffer.alloc(100, 255), Buffer.alloc(0)]) {
    const socket = connect(lab.socket);
    socket.on("error", () => {});
    socket.end(bytes);
    await new Promise((resolve) => socket.on("close", resolve).resume());
  }
  chmodSync(lab.folder, 0o755);
  chmodSync(lab.socket, 0o666);
  const foreign = spawnSync(process.execPath, ["-e", FOREIGN, lab.socket], {
    uid: 65534,
    gid: 65534,
    encoding: "utf8",
  });
  assert.equal(foreign.stdout, "closed with 0 bytes");
  assert.equal((await net.ping({})).version, "0.1.0");
});

const FOREIGN = `const socket = require("node:net").connect(process.argv[1]);
let got = 0; socket.on("data", (part) => { got += part.length; }); socket.on("error", () => {});
socket.on("close", () => process.stdout.write("closed with " + got + " bytes"));
socket.write(Buffer.from("0000000000000001010000", "hex"));`;
