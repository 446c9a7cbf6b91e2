// ctr tasks metrics: what a task uses, from its cgroup, as a table or as JSON.

import { Metrics as MetricsV1 } from "../../../api/task/gen/cgroups_v1.ts";
import { Metrics as MetricsV2 } from "../../../api/task/gen/cgroups_v2.ts";
import { Failure } from "../../../base/errors.ts";
import type { TypedValue } from "../../../core/values.ts";
import type { Command } from "../cli/command.ts";
import { text } from "../cli/flag.ts";
import { goTime, printedJson } from "../cli/format.ts";
import { print } from "../cli/invocation.ts";
import { formatTable, WIDE } from "../cli/table.ts";

type Rows = [name: string, value: bigint | string][];

export const METRICS: Command = {
  names: ["metrics", "metric"],
  usage: "get a single data point of metrics for a task with the built-in Linux runtime",
  argsUsage: "CONTAINER",
  flags: [text("format", '"table" or "json"', { initial: "table" })],
  async action(call) {
    const id = call.arg(0);
    const { nouns } = await call.session();
    const { taskOf } = await import("../run/task.ts");
    await taskOf(nouns, id);
    const metric = (await nouns.tasks.metrics([`id==${id}`])).find((one) => one.containerId === id);
    if (metric === undefined || metric.data === null) throw new Failure("not_found", "no metrics received");
    const { message, rows } = decode(metric.data);
    if (call.string("format") === "json") {
      const { messageJson } = await import("../call/any-json.ts");
      print(printedJson(messageJson(message), 2));
      return;
    }
    if (call.string("format") !== "table") {
      throw new Failure("invalid_argument", "format must be table or json");
    }
    const time = goTime(metric.timestamp).replace("T", " ").replace("Z", " +0000 UTC");
    const head = `ID\tTIMESTAMP\t\n${id}\t${time}\t\n\n`;
    const body = rows.map(([name, value]) => `${name}\t${value}\t\n`).join("");
    print(formatTable(`${head}METRIC\tVALUE\t\n${body}`, WIDE));
  },
};

function decode(data: TypedValue): { message: object; rows: Rows } {
  if (data.typeUrl === MetricsV1.typeName) {
    const message = MetricsV1.decode(data.value);
    return { message, rows: rowsV1(message) };
  }
  if (data.typeUrl === MetricsV2.typeName) {
    const message = MetricsV2.decode(data.value);
    return { message, rows: rowsV2(message) };
  }
  throw new Failure("unimplemented", `cannot convert metric data to cgroups.Metrics: ${data.typeUrl}`);
}

function rowsV1({ memory, cpu, pids }: MetricsV1): Rows {
  const rows: Rows = [];
  if (memory !== null) {
    rows.push(["memory.usage_in_bytes", memory.usage?.usage ?? 0n]);
    rows.push(["memory.limit_in_bytes", memory.usage?.limit ?? 0n]);
    rows.push(["memory.stat.cache", memory.totalCache]);
  }
  if (cpu !== null) {
    rows.push(["cpuacct.usage", cpu.usage?.total ?? 0n]);
    rows.push(["cpuacct.usage_percpu", `[${(cpu.usage?.perCpu ?? []).join(" ")}]`]);
  }
  if (pids !== null) rows.push(["pids.current", pids.current], ["pids.limit", pids.limit]);
  return rows;
}

function rowsV2({ memory, cpu, pids }: MetricsV2): Rows {
  const rows: Rows = [];
  if (pids !== null) rows.push(["pids.current", pids.current], ["pids.limit", pids.limit]);
  if (cpu !== null) {
    rows.push(["cpu.usage_usec", cpu.usageUsec], ["cpu.user_usec", cpu.userUsec], ["cpu.system_usec", cpu.systemUsec]);
    rows.push(["cpu.nr_periods", cpu.nrPeriods], ["cpu.nr_throttled", cpu.nrThrottled]);
    rows.push(["cpu.throttled_usec", cpu.throttledUsec]);
  }
  if (memory !== null) {
    rows.push(["memory.usage", memory.usage], ["memory.usage_limit", memory.usageLimit]);
    rows.push(["memory.swap_usage", memory.swapUsage], ["memory.swap_limit", memory.swapLimit]);
  }
  return rows;
}
