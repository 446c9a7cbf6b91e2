// The commands of docker context that read the store, and the one that chooses: ls, show, use, inspect.

import { decodeUtf8 } from "../../../base/bytes.ts";
import { quote } from "../../../base/flags/go.ts";
import { formatJson, type Json, parseJson } from "../../../base/json.ts";
import type { Cli } from "../cli.ts";
import type { Command, Group } from "../command.ts";
import { loadConfig, saveConfig } from "../config/config.ts";
import { DEFAULT_HOST } from "../config/endpoint.ts";
import { sha256Hex } from "../config/sha256.ts";
import { ExitStatus } from "../failure.ts";
import { type RowKind, renderRows } from "../format/rows.ts";
import { FORMAT_USAGE } from "./shared.ts";

interface StoredContext {
  Name: string;
  Metadata: { Description?: string };
  Endpoints: { docker?: { Host?: string; SkipTLSVerify?: boolean } };
}

const MAX_META_BYTES = 1024 * 1024;

function storedContexts(cli: Cli): StoredContext[] {
  const { files, env } = cli.runtime;
  const folder = `${cli.configDirectory}/contexts/meta`;
  const host = env["DOCKER_HOST"] || DEFAULT_HOST;
  const contexts: StoredContext[] = [
    {
      Name: "default",
      Metadata: { Description: "Current DOCKER_HOST based configuration" },
      Endpoints: { docker: { Host: host, SkipTLSVerify: false } },
    },
  ];
  if (files.stat(folder) === null) return contexts;
  for (const id of files.list(folder)) {
    const bytes = files.read(`${folder}/${id}/meta.json`, MAX_META_BYTES);
    if (bytes !== null) contexts.push(parseJson(decodeUtf8(bytes)) as unknown as StoredContext);
  }
  const [first, ...others] = contexts as [StoredContext, ...StoredContext[]];
  return [first, ...others.sort((a, b) => (a.Name < b.Name ? -1 : 1))];
}

const ls: Command = {
  name: "ls",
  aliases: ["list"],
  summary: "List contexts",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const format = set.string("format", "", FORMAT_USAGE);
    const quiet = set.bool("quiet", "q", "Show names only");
    return async (cli) => {
      const current = cli.contextName;
      const kind: RowKind<StoredContext> = {
        goType: "*formatter.clientContextContext",
        titles: {
          Name: "NAME",
          Description: "DESCRIPTION",
          DockerEndpoint: "DOCKER ENDPOINT",
          Error: "ERROR",
        },
        fields: {
          Current: (context) => context.Name === current,
          Description: (context) => context.Metadata.Description ?? "",
          DockerEndpoint: (context) => context.Endpoints.docker?.Host ?? "",
          Error: () => "",
          Name: (context) => context.Name,
        },
      };
      const table = "{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}";
      cli.out.print(
        renderRows(kind, storedContexts(cli), { format: format.value, table, quiet: quiet.value ? "Name" : null }),
      );
    };
  },
};

const show: Command = {
  name: "show",
  summary: "Print the name of the current context",
  usage: "",
  args: [0, 0],
  define: () => async (cli) => cli.out.line(cli.contextName),
};

const use: Command = {
  name: "use",
  summary: "Set the current docker context",
  usage: "CONTEXT",
  args: [1, 1],
  define:
    () =>
    async (cli, [name]) => {
      if (!storedContexts(cli).some((context) => context.Name === name)) throw missing(cli, name!);
      const { config } = loadConfig(cli.runtime.files, cli.configDirectory);
      if (name === "default") delete config.currentContext;
      else config.currentContext = name!;
      saveConfig(cli.runtime.files, cli.configDirectory, config);
      cli.out.line(name!);
      cli.err.line(`Current context is now ${quote(name!)}`);
      if (cli.runtime.env["DOCKER_HOST"]) {
        const advice =
          "To use the context, either set the global --context flag, or unset DOCKER_HOST environment variable.";
        cli.err.line(`Warning: DOCKER_HOST environment variable overrides the active context. ${advice}`);
      }
    },
};

const inspect: Command = {
  name: "inspect",
  summary: "Display detailed information on one or more contexts",
  usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
  args: [0, null],
  define: () => async (cli, names) => {
    const contexts = storedContexts(cli);
    const wanted = names.length === 0 ? [cli.contextName] : names;
    const found = wanted.map((name) => {
      const context = contexts.find((candidate) => candidate.Name === name);
      if (context === undefined) throw missing(cli, name);
      return context;
    });
    cli.out.line(formatJson(found as unknown as Json, 4));
  },
};

function missing(cli: Cli, name: string): ExitStatus {
  const path = `${cli.configDirectory}/contexts/meta/${sha256Hex(name)}/meta.json`;
  return new ExitStatus(1, `context ${quote(name)}: context not found: open ${path}: no such file or directory`);
}

export const CONTEXT_GROUP: Group = { name: "context", summary: "Manage contexts", commands: [inspect, ls, show, use] };
