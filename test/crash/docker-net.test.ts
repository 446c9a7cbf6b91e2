// docker-net killed with SIGKILL at moments spread over its work: whatever it was doing, the next one knows exactly the
// containers whose Attach was answered (and perhaps the one that was under way), and nothing else is left.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Lab, pause, skip } from "../path/network-lab.ts";

const ROUNDS = 25;
/** Milliseconds: an Attach takes two to four, a Detach half of one; the rounds kill at different parts of them. */
const STEP = 0.7;
const BRIDGE = "gt0";

test("killed at any moment it leaves whole containers and nothing else", { skip }, async () => {
  await using lab = new Lab();
  /** Attached and answered; null while a call about it is under way. */
  const known = new Map<string, boolean | null>();
  for (let round = 0; round < ROUNDS; round++) {
    const net = await lab.start();
    await net.ensureBridge({ name: BRIDGE });
    await compare(lab, net, known);
    const work = churn(net, known, round);
    await pause(5 + round * STEP);
    await lab.kill("SIGKILL");
    await work;
  }
  const net = await lab.start();
  await compare(lab, net, known);
  assert.ok(known.size > 5, `only ${known.size} containers came of it`);
  await net.shutdown({});
  assert.equal(await lab.ended, 0);
  const traces = lab.traces();
  assert.match(traces, /^links: lo out0@\S+\nrules: \nendpoints: \nbridges: \nnetns: \nmounts: 0\n/);
});

type Net = Awaited<ReturnType<Lab["start"]>>;

/** Attaches and detaches until the connection breaks. */
async function churn(net: Net, known: Map<string, boolean | null>, round: number): Promise<void> {
  try {
    for (let count = 0; ; count++) {
      const containerId = `r${round}c${count}`;
      known.set(containerId, null);
      const ports = [{ protocol: "tcp", containerPort: 80, hostIp: "", hostPort: 0, hostPortEnd: 0 }];
      await net.attach({ containerId, bridge: BRIDGE, ports });
      known.set(containerId, true);
      const older = [...known].find(([, state]) => state === true);
      if (older === undefined || known.size % 3 === 0) continue;
      known.set(older[0], null);
      await net.detach({ containerId: older[0] });
      known.delete(older[0]);
    }
  } catch {
    // It was killed.
  }
}

async function compare(lab: Lab, net: Net, known: Map<string, boolean | null>): Promise<void> {
  const { endpoints } = await net.list({});
  const listed = new Set(endpoints.map((endpoint) => endpoint.containerId));
  for (const [id, state] of known) if (state === true) assert.ok(listed.has(id), `${id} was attached and is forgotten`);
  for (const id of listed) assert.ok(known.has(id), `${id} was detached and is still there`);
  for (const id of known.keys()) {
    if (listed.has(id)) known.set(id, true);
    else known.delete(id);
  }
  const ids = [...listed].sort();
  assert.deepEqual(readdirSync(join(lab.state, "netns")).sort(), ids);
  assert.deepEqual(
    readdirSync(join(lab.state, "endpoints")).sort(),
    ids.map((id) => `${id}.json`),
  );
  const links = lab.in("host", "ip", "-br", "link", "show", "master", BRIDGE).match(/^veth/gm) ?? [];
  assert.equal(links.length, ids.length);
  const mapped = lab.in("host", "nft", "list", "map", "ip", "gantry_gt0", "ports").match(/tcp \. \d+ : [\d.]+/g) ?? [];
  const wanted = endpoints.map((endpoint) => `tcp . ${endpoint.ports[0]?.hostPort} : ${endpoint.address}`);
  assert.deepEqual(mapped.map((text) => text.replace(/ \.$/, "")).sort(), wanted.sort());
  for (const id of ids) assert.match(lab.in({ container: id }, "ip", "-br", "addr"), /^eth0@\S+ +UP /m);
}
