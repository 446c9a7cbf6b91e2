// Intel RDT with a kernel in memory: groups made, joined, filled, watched and left, and what is refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import { installDoor } from "../linux/door.ts";
import { EINVAL, ENOSPC } from "../linux/errno.ts";
import { FakeFiles } from "../runtime/fake/files.ts";
import { enterResctrl, findResctrl, joinResctrl, leaveResctrl, planResctrl, updateSchemata } from "./resctrl.ts";
import { resctrlStats } from "./resctrl-stats.ts";

const ROOT = "/sys/fs/resctrl";
const RDTGROUP_SUPER_MAGIC = 0x7655821;
const NOTHING = { closID: "", schemata: [], l3CacheSchema: "", memBwSchema: "", enableMonitoring: false };

function machine(features = ["L3", "MB", "L3_MON"]): FakeFiles {
  const kernel = new FakeFiles();
  installDoor(kernel);
  kernel.types.set(ROOT, RDTGROUP_SUPER_MAGIC);
  const fill = (group: string) => {
    kernel.put(`${group}/tasks`, "").put(`${group}/schemata`, "MB:0=100\nL3:0=fffff\n");
    kernel.makeDirectories(`${group}/mon_groups`);
    kernel.put(`${group}/mon_data/mon_L3_00/mbm_total_bytes`, "3000\n");
    kernel.put(`${group}/mon_data/mon_L3_00/mbm_local_bytes`, "1000\n");
    kernel.put(`${group}/mon_data/mon_L3_00/llc_occupancy`, "77\n");
  };
  fill(ROOT);
  kernel.onMakeDirectory = fill;
  kernel.put(`${ROOT}/info/last_cmd_status`, "ok\n");
  if (features.includes("L3")) {
    kernel.put(`${ROOT}/info/L3/cbm_mask`, "fffff\n").put(`${ROOT}/info/L3/min_cbm_bits`, "1\n");
    kernel.put(`${ROOT}/info/L3/num_closids`, "16\n");
  }
  if (features.includes("MB")) kernel.put(`${ROOT}/info/MB/min_bandwidth`, "10\n");
  if (features.includes("L3_MON")) {
    kernel.put(`${ROOT}/info/L3_MON/mon_features`, "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n");
  }
  return kernel;
}

test("a container has a group of its own by its id, with the lines of all three fields and which goes with it", () => {
  const kernel = machine();
  const spec = { ...NOTHING, l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20", schemata: ["L2:0=3", "SMBA:0=9"] };
  const plan = planResctrl(spec, "box")!;
  assert.equal(plan.path, `${ROOT}/box`);
  const kept = enterResctrl(plan, 42);
  assert.deepEqual(kept, { group: `${ROOT}/box`, monitor: null });
  assert.deepEqual(kernel.written, [
    [`${ROOT}/box/tasks`, "42"],
    [`${ROOT}/box/schemata`, "L3:0=f\nMB:0=20\nL2:0=3\nSMBA:0=9\n"],
  ]);
  joinResctrl(plan.path, 43);
  assert.deepEqual(kernel.written.at(-1), [`${ROOT}/box/tasks`, "43"]);
  leaveResctrl(kept);
  assert.equal(kernel.directories.has(`${ROOT}/box`), false);
  leaveResctrl(kept);
  joinResctrl(plan.path, 44);
  assert.equal(kernel.leaked, 0);
});

test("a group that closID names is shared: made when it is missing, and left when the container goes", () => {
  const kernel = machine();
  const spec = { ...NOTHING, closID: "shared", l3CacheSchema: "L3:0=f", enableMonitoring: true };
  for (const id of ["one", "two"]) {
    const kept = enterResctrl(planResctrl(spec, id)!, 42);
    assert.deepEqual(kept, { group: null, monitor: `${ROOT}/shared/mon_groups/${id}` });
    assert.ok(kernel.files.has(`${ROOT}/shared/mon_groups/${id}/tasks`));
    leaveResctrl(kept);
    assert.equal(kernel.directories.has(`${ROOT}/shared/mon_groups/${id}`), false);
  }
  assert.ok(kernel.directories.has(`${ROOT}/shared`));
});

test("a closID without lines must be there already; / is the group of all", () => {
  const kernel = machine();
  assert.throws(
    () => enterResctrl(planResctrl({ ...NOTHING, closID: "there" }, "box")!, 42),
    /clos dir not accessible \(must be pre-created when schemata, l3CacheSchema and memBwSchema are empty\)/,
  );
  kernel.put(`${ROOT}/there/tasks`, "");
  assert.deepEqual(enterResctrl(planResctrl({ ...NOTHING, closID: "there" }, "box")!, 42), {
    group: null,
    monitor: null,
  });
  enterResctrl(planResctrl({ ...NOTHING, closID: "/" }, "box")!, 43);
  assert.deepEqual(kernel.written.at(-1), [`${ROOT}/tasks`, "43"]);
});

test("what the kernel refuses is told with its own reason, and nothing that was made stays", () => {
  const kernel = machine();
  kernel.refused.set(`${ROOT}/box/schemata`, EINVAL);
  kernel.put(`${ROOT}/info/last_cmd_status`, "mask f00f is not contiguous\n");
  const spec = { ...NOTHING, l3CacheSchema: "L3:0=f00f", enableMonitoring: true };
  assert.throws(
    () => enterResctrl(planResctrl(spec, "box")!, 42),
    /intelrdt: unable to write "L3:0=f00f\\n": .*invalid argument, last_cmd_status: mask f00f is not contiguous$/,
  );
  assert.equal(kernel.directories.has(`${ROOT}/box`), false);
  kernel.refused.set(`${ROOT}/full`, ENOSPC);
  assert.throws(
    () => enterResctrl(planResctrl(NOTHING, "full")!, 42),
    /mkdir .*full: no space left on device, last_cmd/,
  );
});

for (const [what, features, spec, wanted] of [
  [
    "cache without the feature",
    ["MB"],
    { l3CacheSchema: "L3:0=f" },
    /l3CacheSchema .* but Intel RDT\/CAT is not enabled/,
  ],
  [
    "bandwidth without the feature",
    ["L3"],
    { memBwSchema: "MB:0=9" },
    /memBwSchema .* but Intel RDT\/MBA is not enabled/,
  ],
  ["a closID that leads up", ["L3"], { closID: ".." }, /invalid intelRdt.ClosID ".."/],
  ["a closID with a slash", ["L3"], { closID: "a/b" }, /invalid intelRdt.ClosID "a\/b"/],
] as const) {
  test(`${what} is refused`, () => {
    machine([...features]);
    assert.throws(() => planResctrl({ ...NOTHING, ...spec }, "box"), wanted);
  });
}

test("a machine without resctrl refuses a container that asks for it, and only that", () => {
  installDoor(new FakeFiles());
  assert.equal(findResctrl(), null);
  assert.equal(planResctrl(null, "box"), null);
  assert.throws(() => planResctrl(NOTHING, "box"), /intelRdt is specified in config, but Intel RDT is not enabled/);
});

test("a resctrl that is mounted elsewhere is found", () => {
  const kernel = new FakeFiles();
  installDoor(kernel);
  kernel.types.set(ROOT, 0x62656572);
  kernel.put("/proc/self/mountinfo", "1 2 0:9 / /else rw - resctrl resctrl rw\n");
  assert.equal(findResctrl(), "/else");
});

test("update writes new lines into the container's group, and says what is missing", () => {
  const kernel = machine();
  enterResctrl(planResctrl(NOTHING, "box")!, 42);
  updateSchemata(`${ROOT}/box`, { l3CacheSchema: "L3:0=3", memBwSchema: "" });
  assert.deepEqual(kernel.written.at(-1), [`${ROOT}/box/schemata`, "L3:0=3\n"]);
  const given = { l3CacheSchema: "", memBwSchema: "MB:0=30" };
  assert.throws(() => updateSchemata("", given), /updating a non-existent Intel RDT configuration is not supported/);
  machine(["L3"]);
  assert.throws(() => updateSchemata(`${ROOT}/box`, given), /Intel RDT\/MBA: memory bandwidth schema is not enabled/);
});

test("events tell of the group under the original's names", () => {
  machine();
  const plan = planResctrl({ ...NOTHING, enableMonitoring: true }, "box")!;
  const { monitor } = enterResctrl(plan, 42);
  assert.deepEqual(resctrlStats(plan.path, monitor), {
    l3_cache_info: { cbm_mask: "fffff", min_cbm_bits: 1n, num_closids: 16n },
    l3_cache_schema_root: "L3:0=fffff",
    l3_cache_schema: "L3:0=fffff",
    mem_bw_info: { bandwidth_gran: 0n, delay_linear: 0n, min_bandwidth: 10n, num_closids: 0n },
    mem_bw_schema_root: "MB:0=100",
    mem_bw_schema: "MB:0=100",
    schemata: ["MB:0=100", "L3:0=fffff"],
    mbm_stats: [{ mbm_total_bytes: 3000n, mbm_local_bytes: 1000n }],
    cmt_stats: [{ llc_occupancy: 77n }],
  });
  assert.deepEqual(resctrlStats("", null), {});
});
