// Lines of control groups' files as the kernel writes them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { pressure, rdmaEntries } from "./stats-parts.ts";

test("a pressure file has some and full, or no full (cpu before Linux 5.13), or is not there", () => {
  const some = { avg10: 1.25, avg60: 0.5, avg300: 0, total: 123456789012n };
  const line = "some avg10=1.25 avg60=0.50 avg300=0.00 total=123456789012\n";
  assert.deepEqual(pressure(line), { some, full: null });
  const full = { avg10: 0, avg60: 0, avg300: 0, total: 7n };
  const both = `${line}full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n`;
  assert.deepEqual(pressure(both), { some, full });
  assert.equal(pressure(null), null);
  assert.equal(pressure(""), null);
});

test("RDMA devices are listed with their handles and objects; max is the largest number", () => {
  const text = "mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=max\n";
  assert.deepEqual(rdmaEntries(text), [
    { device: "mlx4_0", hcaHandles: 2, hcaObjects: 2000 },
    { device: "ocrdma1", hcaHandles: 3, hcaObjects: 0xffff_ffff },
  ]);
  assert.deepEqual(rdmaEntries(null), []);
  assert.deepEqual(rdmaEntries("\n"), []);
});
