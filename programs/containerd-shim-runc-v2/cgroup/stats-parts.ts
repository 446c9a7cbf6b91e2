// What both versions of control groups tell in the same way: RDMA devices, block devices' names, and (v2 alone)
// pressure.

import { readTextIfThere } from "../../../linux/fd.ts";
import { toNumber } from "./group.ts";

const PARTITIONS_LIMIT = 1 << 20;
/** What "max" is in a field of 32 bits. */
const NO_LIMIT_32 = 0xffff_ffff;

/** Lines of "mlx4_0 hca_handle=2 hca_object=max". */
export function rdmaEntries(text: string | null): { device: string; hcaHandles: number; hcaObjects: number }[] {
  return (text ?? "").split("\n").flatMap((line) => {
    const [device, ...pairs] = line.trim().split(/\s+/);
    if (device === undefined || pairs.length !== 2) return [];
    const values = new Map(pairs.map((pair) => pair.split("=") as [string, string]));
    const value = (name: string) => {
      const written = values.get(name) ?? "0";
      return written === "max" ? NO_LIMIT_32 : Number(written);
    };
    return [{ device, hcaHandles: value("hca_handle"), hcaObjects: value("hca_object") }];
  });
}

interface Pressure {
  avg10: number;
  avg60: number;
  avg300: number;
  total: bigint;
}

/** Lines of "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"; null where the kernel keeps no such account. */
export function pressure(text: string | null): { some: Pressure | null; full: Pressure | null } | null {
  if (text === null || text === "") return null;
  const of = (kind: string): Pressure | null => {
    const line = text.split("\n").find((one) => one.startsWith(`${kind} `));
    if (line === undefined) return null;
    const values = new Map(line.split(" ").map((pair) => pair.split("=") as [string, string]));
    const average = (name: string) => Number(values.get(name) ?? 0);
    const averages = { avg10: average("avg10"), avg60: average("avg60"), avg300: average("avg300") };
    return { ...averages, total: toNumber(values.get("total") ?? "") };
  };
  return { some: of("some"), full: of("full") };
}

/** "8:0" to "/dev/sda". */
export function blockDevices(): Map<string, string> {
  const devices = new Map<string, string>();
  for (const line of (readTextIfThere("/proc/partitions", PARTITIONS_LIMIT) ?? "").split("\n")) {
    const match = /^\s*(\d+)\s+(\d+)\s+\d+\s+(\S+)$/.exec(line);
    if (match !== null) devices.set(`${match[1]}:${match[2]}`, `/dev/${match[3]}`);
  }
  return devices;
}
