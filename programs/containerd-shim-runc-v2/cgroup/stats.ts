// Resource figures of a task as containerd's clients (docker stats, ctr metrics, a kubelet) expect them.

import { Metrics as MetricsV1 } from "../../../api/task/gen/cgroups_v1.ts";
import { Metrics as MetricsV2 } from "../../../api/task/gen/cgroups_v2.ts";
import type { Any } from "../../../api/wellknown/gen/any.ts";
import type { Group } from "./group.ts";
import { metricsV1 } from "./stats-v1.ts";
import { metricsV2 } from "./stats-v2.ts";

export function readStats(group: Group): Any {
  return group.unified
    ? { typeUrl: MetricsV2.typeName, value: MetricsV2.encode(metricsV2(group)) }
    : { typeUrl: MetricsV1.typeName, value: MetricsV1.encode(metricsV1(group)) };
}
