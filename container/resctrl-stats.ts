// What resctrl tells of a container's group, in the shape of `runc events`.

import * as fs from "../linux/fd.ts";
import { count } from "./cgroups/counters.ts";
import { findResctrl, hasBandwidthAllocation, hasCacheAllocation } from "./resctrl.ts";

const DT_DIR = 4;

/** Empty when the machine has no resctrl any more. */
export function resctrlStats(path: string, monitor: string | null): object {
  const root = findResctrl();
  if (root === null || path === "") return {};
  const whole = linesOf(`${root}/schemata`);
  const own = linesOf(`${path}/schemata`);
  const last = (lines: readonly string[], word: string) => lines.findLast((line) => line.includes(word));
  const info = (place: string, names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, number(`${root}/info/${place}/${name}`)]));
  return {
    ...(hasCacheAllocation(root)
      ? {
          l3_cache_info: {
            cbm_mask: (fs.readTextIfThere(`${root}/info/L3/cbm_mask`) ?? "").trim(),
            ...info("L3", ["min_cbm_bits", "num_closids"]),
          },
          l3_cache_schema_root: last(whole, "L3"),
          l3_cache_schema: last(own, "L3"),
        }
      : {}),
    ...(hasBandwidthAllocation(root)
      ? {
          mem_bw_info: info("MB", ["bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids"]),
          mem_bw_schema_root: last(whole, "MB"),
          mem_bw_schema: last(own, "MB"),
        }
      : {}),
    schemata: own,
    ...monitored(root, monitor ?? path),
  };
}

function linesOf(file: string): string[] {
  return (fs.readTextIfThere(file) ?? "").split("\n").flatMap((line) => (line.trim() === "" ? [] : line.trim()));
}

function number(file: string): bigint {
  return count(fs.readTextIfThere(file)) ?? 0n;
}

/** One entry for each cache that is watched. */
function monitored(root: string, group: string): object {
  const features = linesOf(`${root}/info/L3_MON/mon_features`);
  const bandwidth = features.includes("mbm_total_bytes") || features.includes("mbm_local_bytes");
  const occupancy = features.includes("llc_occupancy");
  if (!bandwidth && !occupancy) return {};
  const places = fs
    .listDirectory(`${group}/mon_data`)
    .filter((entry) => entry.kind === DT_DIR)
    .map((entry) => `${group}/mon_data/${entry.name}`)
    .sort();
  const values = (names: readonly string[]) =>
    places.map((place) => Object.fromEntries(names.map((name) => [name, number(`${place}/${name}`)])));
  return {
    ...(bandwidth ? { mbm_stats: values(["mbm_total_bytes", "mbm_local_bytes"]) } : {}),
    ...(occupancy ? { cmt_stats: values(["llc_occupancy"]) } : {}),
  };
}
