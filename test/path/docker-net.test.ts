// How packets go through docker-net's networks on a real kernel: what containers and neighbours can reach and cannot.
// Each test has network namespaces of its own.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { test } from "node:test";
import { HOST_ADDRESS, Lab, pause, port, skip } from "./network-lab.ts";

test("a published port answers on every way in, and nothing else of the container does", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  const web = await net.attach({
    containerId: "web",
    bridge: "gt0",
    ports: [port(80, 8080), port(81, 8081, "127.0.0.1"), port(80, 8082, HOST_ADDRESS)],
  });
  assert.equal(
    `${web.address}/${web.prefixLength} ${web.gateway} ${web.mac}`,
    "172.17.0.2/16 172.17.0.1 02:42:ac:11:00:02",
  );
  assert.deepEqual(
    web.ports.map((one) => `${one.hostIp} ${one.hostPort} ${one.containerPort}`),
    ["0.0.0.0 8080 80", ":: 8080 80", "127.0.0.1 8081 81", `${HOST_ADDRESS} 8082 80`],
  );
  await lab.serve("web", 80, "published");
  await lab.serve("web", 81, "local");
  const other = await net.attach({ containerId: "other", bridge: "gt0" });
  await lab.serve("other", 80, "neighbour");
  const expected: [string, Parameters<Lab["fetch"]>, string][] = [
    ["the host over loopback", ["host", "127.0.0.1:8080"], "published"],
    ["the host over IPv6", ["host", "[::1]:8080"], "published"],
    ["the host over its own address", ["host", `${HOST_ADDRESS}:8080`], "published"],
    ["the host at a port of loopback alone", ["host", "127.0.0.1:8081"], "local"],
    ["the host straight to the container", ["host", "172.17.0.2"], "published"],
    ["a neighbour machine", ["neighbour", `${HOST_ADDRESS}:8080`], "published"],
    ["a neighbour machine at a port of one address", ["neighbour", `${HOST_ADDRESS}:8082`], "published"],
    ["another container through the host", [{ container: "other" }, `${HOST_ADDRESS}:8080`], "published"],
    ["another container through the gateway", [{ container: "other" }, "172.17.0.1:8080"], "published"],
    ["another container directly", [{ container: "web" }, other.address], "neighbour"],
    ["the container itself through the host", [{ container: "web" }, `${HOST_ADDRESS}:8080`], "published"],
    ["not a neighbour at a port of loopback", ["neighbour", `${HOST_ADDRESS}:8081`], ""],
    ["not a neighbour that routes to the container", ["neighbour", "172.17.0.2"], ""],
    ["not a neighbour at an unpublished port", ["neighbour", "172.17.0.2:81"], ""],
  ];
  for (const [way, [place, where], answer] of expected) assert.equal(lab.fetch(place, where), answer, way);
  assert.match(
    lab.in({ container: "web" }, "ip", "-br", "addr"),
    /lo +UNKNOWN +127\.0\.0\.1\/8 ::1\/128 \neth0@\S+ +UP +172\.17\.0\.2\/16 \n/,
  );
});

test("turning forwarding on makes no router of the host, and Shutdown turns it off again", { skip }, async () => {
  await using lab = new Lab();
  const forwarding = () => lab.in("host", "cat", "/proc/sys/net/ipv4/ip_forward").trim();
  // A second machine on another wire; the neighbour would reach it if the host were a router.
  lab.addMachine("10.98.0.1", "10.98.0.2");
  const reach = () => lab.fetch("neighbour", "10.98.0.2:8000");
  const line = [`--net=${lab.namespaceOf("machine")}`, process.execPath, "-e", ECHO_PEER];
  const server = spawn("nsenter", line);
  await new Promise((resolve) => server.stdout.once("data", resolve));
  lab.set("net/ipv4/ip_forward", "1");
  assert.equal(reach(), "10.99.0.2");
  lab.set("net/ipv4/ip_forward", "0");
  const net = await lab.start();
  assert.deepEqual((await net.ensureBridge({ name: "gt0" })).warnings, []);
  assert.equal(forwarding(), "1");
  assert.equal(reach(), "");
  await net.attach({ containerId: "c", bridge: "gt0" });
  assert.equal(lab.fetch({ container: "c" }, "10.98.0.2:8000"), "10.98.0.1");
  await net.shutdown({});
  await lab.ended;
  assert.equal(forwarding(), "0");
  server.kill();
});

test("a container reaches the world under the host's address", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  await net.attach({ containerId: "c", bridge: "gt0" });
  const server = spawn("nsenter", [`--net=${lab.namespaceOf("neighbour")}`, process.execPath, "-e", ECHO_PEER]);
  await new Promise((resolve) => server.stdout.once("data", resolve));
  assert.equal(lab.fetch({ container: "c" }, "10.99.0.2:8000"), HOST_ADDRESS);
  server.kill();
});

const ECHO_PEER = `require("node:http").createServer((request, response) => response.end(request.socket.remoteAddress
  .replace("::ffff:", ""))).listen(8000, "0.0.0.0", () => console.log("ready"));`;

test("udp is mapped and proxied", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  await net.attach({ containerId: "c", bridge: "gt0", ports: [{ ...port(53, 5353), protocol: "udp" }] });
  const line = [`--net=${lab.namespaceOf({ container: "c" })}`, process.execPath, "-e", UDP_ECHO];
  const server = spawn("nsenter", line);
  await new Promise((resolve) => server.stdout.once("data", resolve));
  for (const [place, address] of [
    ["host", "127.0.0.1"],
    ["host", "::1"],
    ["neighbour", HOST_ADDRESS],
  ] as const) {
    assert.equal(lab.in(place, process.execPath, "-e", UDP_ASK, address), "echo of question", address);
  }
  server.kill();
});

const UDP_ECHO = `const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (text, from) => socket.send("echo of " + text, from.port, from.address));
socket.bind(53, () => console.log("ready"));`;
const UDP_ASK = `const address = process.argv[1];
const socket = require("node:dgram").createSocket(address.includes(":") ? "udp6" : "udp4");
socket.on("message", (text) => { process.stdout.write(text.toString()); socket.close(); });
socket.send("question", 5353, address); setTimeout(() => process.exit(1), 3000).unref();`;

test("a client that never stops sending is served by the next container on its udp port", { skip }, async () => {
  await using lab = new Lab();
  const net = await lab.start();
  await net.ensureBridge({ name: "gt0" });
  let heard = "";
  const clients: ChildProcess[] = [];
  for (const [containerId, address] of Object.entries({ a: "172.17.0.2", b: "172.17.0.9" })) {
    await net.attach({ containerId, bridge: "gt0", address, ports: [{ ...port(53, 5353), protocol: "udp" }] });
    const line = [`--net=${lab.namespaceOf({ container: containerId })}`, process.execPath, "-e", UDP_ECHO];
    const server = spawn("nsenter", line);
    await new Promise((resolve) => server.stdout.once("data", resolve));
    // From the first container on, so that the kernel remembers it as translated to that one.
    if (containerId === "a") {
      const client = spawn("nsenter", [`--net=${lab.namespaceOf("neighbour")}`, process.execPath, "-e", UDP_STREAM]);
      client.stdout.on("data", (part: Buffer) => {
        heard += part.toString();
      });
      clients.push(client);
    }
    heard = "";
    for (let wait = 0; wait < 100 && heard === ""; wait++) await pause(20);
    assert.match(heard, /^(echo of tick )+$/, containerId);
    server.kill();
    await net.detach({ containerId });
  }
  for (const client of clients) client.kill();
});

const UDP_STREAM = `const socket = require("node:dgram").createSocket("udp4");
socket.on("message", (text) => process.stdout.write(text + " "));
setInterval(() => socket.send("tick", 5353, "${HOST_ADDRESS}"), 10);`;

for (const filtered of ["1", "0"]) {
  const when = filtered === "1" ? "where bridged packets are filtered" : "where the bridge keeps them apart";
  test(`containers of an isolated bridge reach each other only through published ports, ${when}`, {
    skip,
  }, async () => {
    await using lab = new Lab();
    const net = await lab.start();
    await net.ensureBridge({ name: "gt0", subnet: "10.80.0.0/24", isolated: true });
    lab.set("net/bridge/bridge-nf-call-iptables", filtered);
    const a = await net.attach({ containerId: "a", bridge: "gt0", ports: [port(80, 8080)] });
    await net.attach({ containerId: "b", bridge: "gt0" });
    await lab.serve("a", 80, "a");
    assert.equal(lab.fetch({ container: "b" }, a.address), "");
    assert.equal(lab.fetch({ container: "b" }, `${HOST_ADDRESS}:8080`), "a");
  });
}
