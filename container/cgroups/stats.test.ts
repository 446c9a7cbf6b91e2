// What control files of v1 and v2 become in the shape of `runc events`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hugePageSizesOf, type ReadFile } from "./counters.ts";
import * as legacy from "./stats-legacy.ts";
import * as unified from "./stats-unified.ts";

const files =
  (there: Readonly<Record<string, string>>): ReadFile =>
  (_controller, file) =>
    there[file] ?? null;

test("v1: processor time by processor and mode, and throttling", () => {
  const read = files({
    "cpuacct.usage": "300\n",
    "cpuacct.stat": "user 2\nsystem 3\n",
    "cpuacct.usage_percpu": "100 200 \n",
    "cpuacct.usage_all": "cpu user system\n0 10 20\n1 30 40\n",
    "cpu.stat": "nr_periods 5\nnr_throttled 0\nthrottled_time 0\n",
  });
  assert.deepEqual(legacy.cpu(read), {
    usage: {
      total: 300n,
      percpu: [100n, 200n],
      percpu_kernel: [20n, 40n],
      percpu_user: [10n, 30n],
      kernel: 30_000_000n,
      user: 20_000_000n,
    },
    throttling: { periods: 5n },
  });
});

test("v1: the block controller's files of the scheduler come before those of throttling", () => {
  const throttle = {
    "blkio.throttle.io_serviced_recursive": "8:0 Read 3\n8:0 Write 0\nTotal 3\n",
    "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\nTotal 4096\n",
  };
  assert.deepEqual(legacy.blkio(files(throttle)), {
    ioServicedRecursive: [
      { major: 8n, op: "Read", value: 3n },
      { major: 8n, op: "Write" },
    ],
    ioServiceBytesRecursive: [{ major: 8n, op: "Read", value: 4096n }],
  });
  const bfq = {
    "blkio.bfq.io_serviced_recursive": "8:16 Read 1\n",
    "blkio.bfq.io_service_bytes_recursive": "8:16 Read 512\n",
  };
  assert.deepEqual(legacy.blkio(files({ ...throttle, ...bfq })), {
    ioServicedRecursive: [{ major: 8n, minor: 16n, op: "Read", value: 1n }],
    ioServiceBytesRecursive: [{ major: 8n, minor: 16n, op: "Read", value: 512n }],
  });
  const cfq = { "blkio.sectors_recursive": "8:0 9\n", "blkio.io_queued_recursive": "8:0 Async 1\nTotal 1\n" };
  assert.deepEqual(legacy.blkio(files({ ...throttle, ...cfq })), {
    sectorsRecursive: [{ major: 8n, value: 9n }],
    ioQueueRecursive: [{ major: 8n, op: "Async", value: 1n }],
  });
});

test("v1: reservations of huge pages count before use", () => {
  const read = files({
    "hugetlb.2MB.rsvd.usage_in_bytes": "7\n",
    "hugetlb.2MB.rsvd.max_usage_in_bytes": "8\n",
    "hugetlb.2MB.rsvd.failcnt": "1\n",
    "hugetlb.1GB.usage_in_bytes": "0\n",
    "hugetlb.1GB.failcnt": "0\n",
  });
  assert.deepEqual(legacy.hugetlb(read, ["2MB", "1GB", "64KB"]), {
    "2MB": { usage: 7n, max: 8n, failcnt: 1n },
    "1GB": { failcnt: 0n },
  });
});

test("v2: swap is told together with memory, and no limit as the largest number", () => {
  const read = files({
    "memory.current": "10\n",
    "memory.max": "100\n",
    "memory.peak": "20\n",
    "memory.swap.current": "5\n",
    "memory.swap.max": "50\n",
    "memory.stat": "file 4\nanon 6\n",
    "memory.pressure":
      "some avg10=1.50 avg60=0.00 avg300=0.25 total=9\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
  });
  const none = { limit: 0n, failcnt: 0n };
  assert.deepEqual(unified.memory(read), {
    cache: 4n,
    usage: { limit: 100n, usage: 10n, max: 20n, failcnt: 0n },
    swap: { limit: 150n, usage: 15n, failcnt: 0n },
    kernel: none,
    kernelTCP: none,
    raw: { anon: 6n, file: 4n },
    psi: {
      some: { avg10: 1.5, avg60: 0, avg300: 0.25, total: 9n },
      full: { avg10: 0, avg60: 0, avg300: 0, total: 0n },
    },
  });
  const open = files({ "memory.current": "10\n", "memory.max": "max\n", "memory.swap.max": "max\n" });
  const { swap } = unified.memory(open) as { swap: object };
  assert.deepEqual(swap, { limit: 2n ** 64n - 1n, usage: 10n, failcnt: 0n });
});

test("v2: io.stat becomes v1's tables, and pressure of each kind stands beside its controller", () => {
  const read = files({
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=0 dbytes=9 dios=9\n253:1 \n",
    "cpu.stat": "usage_usec 3\nuser_usec 1\nsystem_usec 2\n",
    "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=4\n",
  });
  assert.deepEqual(unified.blkio(read), {
    ioServiceBytesRecursive: [
      { major: 8n, op: "Read", value: 1n },
      { major: 8n, op: "Write", value: 2n },
    ],
    ioServicedRecursive: [
      { major: 8n, op: "Read", value: 3n },
      { major: 8n, op: "Write" },
    ],
  });
  assert.deepEqual(unified.cpu(read), {
    usage: { total: 3000n, kernel: 2000n, user: 1000n },
    throttling: {},
    psi: { some: { avg10: 0, avg60: 0, avg300: 0, total: 4n } },
  });
});

test("huge page sizes are named as the kernel's control files name them, smallest first", () => {
  const names = ["hugepages-2048kB", "hugepages-1048576kB", "hugepages-64kB", "other"];
  assert.deepEqual(hugePageSizesOf(names), ["64KB", "2MB", "1GB"]);
});
