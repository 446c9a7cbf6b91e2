// docker info: the daemon's facts as an indented list.

import type { InfoResponse } from "../../../../api/engine/system.ts";
import { messageOf } from "../../../../base/errors.ts";
import { Template } from "../../../../base/template/executor.ts";
import { TemplateError } from "../../../../base/template/lexer.ts";
import { showJson } from "../../../../base/template/print.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { binarySize } from "../../format/units.ts";
import { CLIENT_VERSION } from "../../version.ts";

export const info: Command = {
  name: "info",
  summary: "Display system-wide information",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const format = set.string("format", "f", "Show with a Go template, or 'json'");
    return async (cli) => {
      let facts: InfoResponse | null = null;
      let failure = "";
      try {
        facts = await cli.engine.get<InfoResponse>("/info");
      } catch (thrown) {
        failure = messageOf(thrown);
      }
      if (format.value !== "") return showFormatted(cli, format.value, { facts, failure });
      cli.out.print(showClient(cli));
      cli.out.print("\nServer:\n");
      if (facts === null) {
        throw new ExitStatus(1, `${failure}\nerrors pretty printing info`);
      }
      cli.out.print(showServer(facts));
      cli.out.print("\n");
      for (const warning of facts.Warnings ?? []) cli.err.line(warning);
    };
  },
};

function showFormatted(cli: Cli, format: string, answer: { facts: InfoResponse | null; failure: string }): void {
  const client = { Debug: cli.debug, Version: CLIENT_VERSION, Context: cli.contextName, Plugins: [], Warnings: null };
  const data = {
    ...(answer.facts ?? {}),
    ...(answer.failure === "" ? {} : { ServerErrors: [answer.failure] }),
    ClientInfo: client,
  };
  if (format === "json") cli.out.line(showJson(data));
  else {
    try {
      cli.out.line(new Template(format).execute(data));
    } catch (thrown) {
      if (thrown instanceof TemplateError) throw new ExitStatus(64, `template parsing error: ${thrown.message}`);
      throw thrown;
    }
  }
  if (answer.failure !== "") throw new ExitStatus(1, answer.failure);
}

function showClient(cli: Cli): string {
  return `Client:\n Version:    ${CLIENT_VERSION}\n Context:    ${cli.contextName}\n Debug Mode: ${cli.debug}\n`;
}

function showServer(facts: InfoResponse): string {
  const lines: string[] = [];
  const add = (name: string, value: unknown, indent = 1) => lines.push(`${" ".repeat(indent)}${name}: ${value}`);
  add("Containers", facts.Containers);
  add("Running", facts.ContainersRunning, 2);
  add("Paused", facts.ContainersPaused, 2);
  add("Stopped", facts.ContainersStopped, 2);
  add("Images", facts.Images);
  if (facts.ServerVersion) add("Server Version", facts.ServerVersion);
  add("Storage Driver", facts.Driver);
  for (const [name, value] of facts.DriverStatus ?? []) add(name, value, 2);
  add("Logging Driver", facts.LoggingDriver);
  add("Cgroup Driver", facts.CgroupDriver);
  if (facts.CgroupVersion) add("Cgroup Version", facts.CgroupVersion);
  lines.push(" Plugins:");
  add("Volume", (facts.Plugins?.Volume ?? []).join(" "), 2);
  add("Network", (facts.Plugins?.Network ?? []).join(" "), 2);
  if ((facts.Plugins?.Authorization ?? []).length > 0) add("Authorization", facts.Plugins.Authorization!.join(" "), 2);
  add("Log", (facts.Plugins?.Log ?? []).join(" "), 2);
  if (facts.Swarm?.LocalNodeState) add("Swarm", facts.Swarm.LocalNodeState);
  if (facts.Runtimes && Object.keys(facts.Runtimes).length > 0) {
    add("Runtimes", Object.keys(facts.Runtimes).sort().join(" "));
    add("Default Runtime", facts.DefaultRuntime);
  }
  addEngine(facts, lines, add);
  return `${lines.join("\n")}\n`;
}

function addEngine(
  facts: InfoResponse,
  lines: string[],
  add: (name: string, value: unknown, indent?: number) => void,
): void {
  if (facts.OSType === "linux") {
    add("Init Binary", facts.InitBinary);
    add("containerd version", facts.ContainerdCommit?.ID ?? "");
    add("runc version", facts.RuncCommit?.ID ?? "");
    add("init version", facts.InitCommit?.ID ?? "");
    addSecurity(facts.SecurityOptions ?? [], lines);
  }
  if (facts.KernelVersion) add("Kernel Version", facts.KernelVersion);
  if (facts.OperatingSystem) add("Operating System", facts.OperatingSystem);
  if (facts.OSType) add("OSType", facts.OSType);
  if (facts.Architecture) add("Architecture", facts.Architecture);
  add("CPUs", facts.NCPU);
  add("Total Memory", binarySize(facts.MemTotal));
  add("Name", facts.Name);
  add("ID", facts.ID);
  add("Docker Root Dir", facts.DockerRootDir);
  add("Debug Mode", facts.Debug);
  if (facts.HttpProxy) add("HTTP Proxy", facts.HttpProxy);
  if (facts.HttpsProxy) add("HTTPS Proxy", facts.HttpsProxy);
  if (facts.NoProxy) add("No Proxy", facts.NoProxy);
  if ((facts.Labels ?? []).length > 0) {
    lines.push(" Labels:");
    for (const label of facts.Labels!) lines.push(`  ${label}`);
  }
  add("Experimental", facts.ExperimentalBuild);
  const insecure = facts.RegistryConfig?.InsecureRegistryCIDRs ?? [];
  if (insecure.length > 0) lines.push(" Insecure Registries:", ...insecure.map((network) => `  ${network}`));
  const mirrors = facts.RegistryConfig?.Mirrors ?? [];
  if (mirrors.length > 0) lines.push(" Registry Mirrors:", ...mirrors.map((mirror) => `  ${mirror}`));
  add("Live Restore Enabled", facts.LiveRestoreEnabled);
}

/** "name=seccomp,profile=default" as an entry with its options below. */
function addSecurity(options: readonly string[], lines: string[]): void {
  if (options.length === 0) return;
  lines.push(" Security Options:");
  for (const option of options) {
    const fields = option
      .split(",")
      .map((field) => [field.slice(0, field.indexOf("=")), field.slice(field.indexOf("=") + 1)] as const);
    const name = fields.find(([key]) => key === "name")?.[1] ?? option;
    lines.push(`  ${name}`);
    for (const [key, value] of fields) {
      if (key === "profile") lines.push(`   Profile: ${value}`);
    }
  }
}
