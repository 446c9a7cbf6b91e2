// Commands that tell a container to do one thing: stop, restart, kill, pause, unpause, rename, rm, wait, update.

import type { WaitResponse } from "../../../../api/engine/container.ts";
import { messageOf } from "../../../../base/errors.ts";
import { parsed } from "../../../../base/flags/values.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { parseMemory, parseMemoryOrUnlimited } from "../../format/units.ts";
import { parseCpus, parseRestart } from "../../options/values.ts";
import { pathSegment } from "../../reference.ts";
import { forEachName } from "../shared.ts";

const NAMES = "CONTAINER [CONTAINER...]";

function stopping(name: "stop" | "restart", summary: string): Command {
  return {
    name,
    summary,
    usage: `[OPTIONS] ${NAMES}`,
    args: [1, null],
    define(set) {
      const signal = set.string("signal", "s", "Signal to send to the container");
      const timeout = set.int("timeout", "t", "Seconds to wait before the container is killed");
      const time = set.add(
        parsed("int", (text) => Number(text)),
        ["time", ""],
        {
          usage: "",
          initial: 0,
          options: { deprecated: "use --timeout instead" },
        },
      );
      return (cli, names) => {
        if (time.changed && timeout.changed) {
          throw new ExitStatus(1, "conflicting options: cannot specify both --timeout and --time");
        }
        const t = timeout.changed ? timeout.value : time.changed ? time.value : null;
        const query = { signal: signal.value || null, t };
        return forEachName(cli, names, async (container) => {
          await cli.engine.post(`/containers/${pathSegment(container)}/${name}`, { query });
        });
      };
    },
  };
}

export const stop = stopping("stop", "Stop one or more running containers");
export const restart = stopping("restart", "Restart one or more containers");

export const kill: Command = {
  name: "kill",
  summary: "Kill one or more running containers",
  usage: `[OPTIONS] ${NAMES}`,
  args: [1, null],
  define(set) {
    const signal = set.string("signal", "s", "Signal to send to the container");
    return (cli, names) =>
      forEachName(cli, names, async (name) => {
        await cli.engine.post(`/containers/${pathSegment(name)}/kill`, { query: { signal: signal.value || null } });
      });
  },
};

function simple(name: "pause" | "unpause", summary: string): Command {
  return {
    name,
    summary,
    usage: NAMES,
    args: [1, null],
    define: () => (cli, names) =>
      forEachName(cli, names, async (container) => {
        await cli.engine.post(`/containers/${pathSegment(container)}/${name}`);
      }),
  };
}

export const pause = simple("pause", "Pause all processes within one or more containers");
export const unpause = simple("unpause", "Unpause all processes within one or more containers");

export const rename: Command = {
  name: "rename",
  summary: "Rename a container",
  usage: "CONTAINER NEW_NAME",
  args: [2, 2],
  define: () => async (cli, args) => {
    const [from, to] = args.map((name) => name.trim()) as [string, string];
    if (from === "" || to === "") throw new ExitStatus(1, "Error: Neither old nor new names may be empty");
    try {
      await cli.engine.post(`/containers/${pathSegment(from)}/rename`, { query: { name: to } });
    } catch (thrown) {
      throw new ExitStatus(1, `${messageOf(thrown)}\nError: failed to rename container named ${from}`);
    }
  },
};

export const rm: Command = {
  name: "rm",
  aliases: ["remove"],
  summary: "Remove one or more containers",
  usage: `[OPTIONS] ${NAMES}`,
  args: [1, null],
  define(set) {
    const force = set.bool("force", "f", "Remove a running container, too (uses SIGKILL)");
    const link = set.bool("link", "l", "Remove the named link");
    const volumes = set.bool("volumes", "v", "Remove the container's anonymous volumes");
    return (cli, names) => {
      const on = (wanted: boolean) => (wanted ? 1 : null);
      const query = { force: on(force.value), link: on(link.value), v: on(volumes.value) };
      return forEachName(cli, names, (given) => removeOne(cli, given, query));
    };
  },
};

async function removeOne(
  cli: Cli,
  given: string,
  query: { force: number | null; link: number | null; v: number | null },
) {
  const name = given.replace(/^\/+/, "").replace(/\/+$/, "");
  if (name === "") throw new Error("Container name cannot be empty");
  try {
    await cli.engine.json("DELETE", `/containers/${pathSegment(name)}`, { query });
    return given;
  } catch (thrown) {
    if (query.force !== 1 || !/No such container/.test(messageOf(thrown))) throw thrown;
    cli.err.line(messageOf(thrown));
    return "";
  }
}

export const wait: Command = {
  name: "wait",
  summary: "Block until one or more containers stop, then print their exit codes",
  usage: NAMES,
  args: [1, null],
  define: () => async (cli, names) => {
    const failures: string[] = [];
    for (const name of names) {
      try {
        const answer = await cli.engine.post<WaitResponse>(`/containers/${pathSegment(name)}/wait`);
        if (answer.Error?.Message) failures.push(answer.Error.Message);
        else cli.out.line(String(answer.StatusCode));
      } catch (thrown) {
        failures.push(messageOf(thrown));
      }
      await cli.out.flush();
    }
    if (failures.length > 0) throw new ExitStatus(1, failures.join("\n"));
  },
};

export const update: Command = {
  name: "update",
  summary: "Update configuration of one or more containers",
  usage: `[OPTIONS] ${NAMES}`,
  args: [1, null],
  define(set) {
    const size = parsed("bytes", parseMemory);
    const flags = {
      BlkioWeight: set.int("blkio-weight", "", "Block IO weight (10 to 1000, 0 for none)"),
      CpuPeriod: set.int("cpu-period", "", "Period of the processor quota in microseconds"),
      CpuQuota: set.int("cpu-quota", "", "Processor quota in microseconds per period"),
      CpuRealtimePeriod: set.int("cpu-rt-period", "", "Period of real-time scheduling in microseconds"),
      CpuRealtimeRuntime: set.int("cpu-rt-runtime", "", "Real-time share of a period in microseconds"),
      CpuShares: set.int("cpu-shares", "c", "Processor shares (relative weight)"),
      CpusetCpus: set.string("cpuset-cpus", "", "Processors to run on (0-3, 0,1)"),
      CpusetMems: set.string("cpuset-mems", "", "Memory nodes to use (0-3, 0,1)"),
      Memory: set.add(size, ["memory", "m"], { usage: "Memory limit", initial: 0 }),
      MemoryReservation: set.add(size, ["memory-reservation", ""], { usage: "Soft limit of memory", initial: 0 }),
      MemorySwap: set.add(parsed("bytes", parseMemoryOrUnlimited), ["memory-swap", ""], {
        usage: "Memory plus swap; -1 for unlimited swap",
        initial: 0,
      }),
      NanoCpus: set.add(parsed("decimal", parseCpus), ["cpus", ""], { usage: "Number of processors", initial: 0 }),
      PidsLimit: set.int("pids-limit", "", "Limit of processes; -1 for none"),
    };
    const policy = set.string("restart", "", "Restart policy for when the container exits");
    return async (cli, names) => {
      const changed = Object.entries(flags).filter(([, flag]) => flag.changed);
      if (changed.length === 0 && !policy.changed) {
        throw new ExitStatus(1, "you must provide one or more flags when using this command");
      }
      const values = Object.fromEntries(changed.map(([name, flag]) => [name, flag.value]));
      const body = { ...values, RestartPolicy: parseRestart(policy.value) };
      const warnings: string[] = [];
      await forEachName(cli, names, async (name) => {
        const answer = await cli.engine.post<{ Warnings: string[] | null }>(`/containers/${pathSegment(name)}/update`, {
          json: body,
        });
        warnings.push(...(answer.Warnings ?? []));
      });
      for (const warning of warnings) cli.err.line(warning);
    };
  },
};
