// docker stats: processor, memory, network and disk use of containers, once or again every second.

import type { ContainerSummary } from "../../../../api/engine/container.ts";
import { JsonLines } from "../../../../api/engine/progress.ts";
import { messageOf } from "../../../../base/errors.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { type RowKind, renderRows, shortId } from "../../format/rows.ts";
import { binarySize, humanSize } from "../../format/units.ts";
import { pathSegment } from "../../reference.ts";
import { FORMAT_USAGE } from "../shared.ts";

/** The part of a sample that is shown. */
interface Sample {
  id: string;
  name: string;
  cpu_stats?: CpuStats;
  precpu_stats?: CpuStats;
  memory_stats?: { usage?: number; limit?: number; stats?: Record<string, number> };
  networks?: Record<string, { rx_bytes: number; tx_bytes: number }>;
  blkio_stats?: { io_service_bytes_recursive?: { op: string; value: number }[] | null };
  pids_stats?: { current?: number };
}

interface CpuStats {
  cpu_usage: { total_usage: number; percpu_usage?: number[] | null };
  system_cpu_usage?: number;
  online_cpus?: number;
}

interface StatsRow {
  container: string;
  sample: Sample | null;
}

const REDRAW_MS = 500;
const CLEAR_SCREEN = "\u001b[2J\u001b[H";

export const stats: Command = {
  name: "stats",
  summary: "Display a live stream of container(s) resource usage statistics",
  usage: "[OPTIONS] [CONTAINER...]",
  args: [0, null],
  define(set) {
    const all = set.bool("all", "a", "Show all containers, not just running ones");
    const format = set.string("format", "", FORMAT_USAGE);
    const noStream = set.bool("no-stream", "", "Show one sample and end");
    const noTrunc = set.bool("no-trunc", "", "Do not cut the output");
    return async (cli, names) => {
      const chosen = format.value || (cli.config.statsFormat ?? "");
      const render = (rows: StatsRow[]) =>
        renderRows(statsRows(!noTrunc.value), rows, { format: chosen, table: TABLE });
      if (noStream.value) {
        const rows = await Promise.all((await listed(cli, names, all.value)).map((name) => once(cli, name)));
        cli.out.print(render(rows));
        return;
      }
      await follow(cli, () => listed(cli, names, all.value), render);
    };
  },
};

const TABLE = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

async function listed(cli: Cli, names: readonly string[], all: boolean): Promise<string[]> {
  if (names.length > 0) return [...names];
  const containers = await cli.engine.get<ContainerSummary[]>("/containers/json", { all: all ? 1 : null });
  return containers.map((container) => container.Id);
}

async function once(cli: Cli, name: string): Promise<StatsRow> {
  return {
    container: name,
    sample: await cli.engine.get<Sample>(`/containers/${pathSegment(name)}/stats`, { stream: 0 }),
  };
}

/** Keeps one stream per container and draws what they last said. */
async function follow(cli: Cli, list: () => Promise<string[]>, render: (rows: StatsRow[]) => string): Promise<void> {
  const rows = new Map<string, StatsRow>();
  let failure: unknown = null;
  const fixed = new Set(await list());
  for (;;) {
    for (const name of new Set([...fixed, ...(await list())])) {
      if (rows.has(name)) continue;
      const row: StatsRow = { container: name, sample: null };
      rows.set(name, row);
      void readStream(cli, row)
        .catch((thrown) => {
          failure ??= thrown;
        })
        .finally(() => {
          if (!fixed.has(name)) rows.delete(name);
        });
    }
    if (failure !== null) throw new ExitStatus(1, messageOf(failure));
    const home = cli.runtime.terminal.isTerminal(1) ? CLEAR_SCREEN : "";
    cli.out.print(home + render([...rows.values()]));
    await cli.out.flush();
    await cli.runtime.clock.sleep(REDRAW_MS);
  }
}

async function readStream(cli: Cli, row: StatsRow): Promise<void> {
  const query = { stream: 1 };
  const { body } = await cli.engine.open("GET", `/containers/${pathSegment(row.container)}/stats`, { query });
  const lines = new JsonLines();
  for (let piece = await body.read(); piece !== null; piece = await body.read()) {
    const last = lines.push(piece).at(-1);
    if (last !== undefined) row.sample = last as Sample;
  }
}

function statsRows(cut: boolean): RowKind<StatsRow> {
  const known = (show: (sample: Sample) => string, none: string) => (row: StatsRow) =>
    row.sample === null || !row.sample.id ? none : show(row.sample);
  return {
    goType: "*container.statsContext",
    titles: {
      BlockIO: "BLOCK I/O",
      CPUPerc: "CPU %",
      Container: "CONTAINER",
      ID: "CONTAINER ID",
      MemPerc: "MEM %",
      MemUsage: "MEM USAGE / LIMIT",
      Name: "NAME",
      NetIO: "NET I/O",
      PIDs: "PIDS",
    },
    fields: {
      BlockIO: known(
        (sample) => `${humanSize(blockBytes(sample, "r"), 3)} / ${humanSize(blockBytes(sample, "w"), 3)}`,
        "-- / --",
      ),
      CPUPerc: known((sample) => `${cpuShare(sample).toFixed(2)}%`, "--"),
      Container: (row) => row.container,
      ID: known((sample) => (cut ? shortId(sample.id) : sample.id), "--"),
      MemPerc: known((sample) => `${memoryShare(sample).toFixed(2)}%`, "--"),
      MemUsage: known(
        (sample) => `${binarySize(memoryUse(sample))} / ${binarySize(sample.memory_stats?.limit ?? 0)}`,
        "-- / --",
      ),
      Name: known((sample) => sample.name.replace(/^\//, ""), "--"),
      NetIO: known(
        (sample) =>
          `${humanSize(networkBytes(sample, "rx_bytes"), 3)} / ${humanSize(networkBytes(sample, "tx_bytes"), 3)}`,
        "-- / --",
      ),
      PIDs: known((sample) => String(sample.pids_stats?.current ?? 0), "--"),
    },
  };
}

function cpuShare(sample: Sample): number {
  const [now, before] = [sample.cpu_stats, sample.precpu_stats];
  const used = Number(now?.cpu_usage.total_usage ?? 0) - Number(before?.cpu_usage.total_usage ?? 0);
  const passed = Number(now?.system_cpu_usage ?? 0) - Number(before?.system_cpu_usage ?? 0);
  const processors = now?.online_cpus || (now?.cpu_usage.percpu_usage?.length ?? 0);
  return passed > 0 && used > 0 ? (used / passed) * processors * 100 : 0;
}

/** Without what the page cache could give back at once. */
function memoryUse(sample: Sample): number {
  const usage = sample.memory_stats?.usage ?? 0;
  const inactive =
    sample.memory_stats?.stats?.["total_inactive_file"] ?? sample.memory_stats?.stats?.["inactive_file"] ?? 0;
  return inactive < usage ? usage - inactive : usage;
}

function memoryShare(sample: Sample): number {
  const limit = sample.memory_stats?.limit ?? 0;
  return limit === 0 ? 0 : (memoryUse(sample) / limit) * 100;
}

function networkBytes(sample: Sample, direction: "rx_bytes" | "tx_bytes"): number {
  return Object.values(sample.networks ?? {}).reduce((sum, network) => sum + network[direction], 0);
}

function blockBytes(sample: Sample, letter: "r" | "w"): number {
  const entries = sample.blkio_stats?.io_service_bytes_recursive ?? [];
  return entries
    .filter((entry) => entry.op.toLowerCase().startsWith(letter))
    .reduce((sum, entry) => sum + entry.value, 0);
}
