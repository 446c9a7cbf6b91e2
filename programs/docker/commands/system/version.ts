// docker version: this client and the daemon's parts.

import type { VersionResponse } from "../../../../api/engine/system.ts";
import { API_NEWEST } from "../../../../api/engine/version.ts";
import { messageOf } from "../../../../base/errors.ts";
import { type Fields, Template } from "../../../../base/template/executor.ts";
import { TemplateError } from "../../../../base/template/lexer.ts";
import { showJson } from "../../../../base/template/print.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { CLIENT_BUILD, CLIENT_VERSION } from "../../version.ts";

export const version: Command = {
  name: "version",
  summary: "Show the Docker version information",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const format = set.string("format", "f", "Show with a Go template, or 'json'");
    return async (cli) => {
      const template = format.value === "" || format.value === "json" ? null : parse(format.value);
      const { server, failure } = await askServer(cli);
      const spoken = failure === null ? await cli.engine.version() : API_NEWEST;
      const client = clientFacts(cli, spoken);
      if (format.value === "json") cli.out.line(showJson({ Client: client, Server: server }));
      else if (template !== null) cli.out.line(execute(cli, template, { client, server }));
      else cli.out.print(showClient(client) + (server === null ? "" : showServer(server)));
      if (failure !== null) throw new ExitStatus(1, failure);
    };
  },
};

async function askServer(cli: Cli): Promise<{ server: VersionResponse | null; failure: string | null }> {
  try {
    return { server: await cli.engine.get<VersionResponse>("/version"), failure: null };
  } catch (thrown) {
    return { server: null, failure: messageOf(thrown) };
  }
}

type ClientFacts = ReturnType<typeof clientFacts>;

function clientFacts(cli: Cli, spoken: string) {
  return {
    Version: CLIENT_VERSION,
    ApiVersion: spoken,
    DefaultAPIVersion: API_NEWEST,
    GitCommit: CLIENT_BUILD,
    GoVersion: "none",
    Os: "linux",
    Arch: "amd64",
    BuildTime: "",
    Context: cli.contextName,
  };
}

function parse(format: string): Template {
  try {
    return new Template(format, { name: "version" });
  } catch (thrown) {
    if (thrown instanceof TemplateError) throw new ExitStatus(64, `template parsing error: ${thrown.message}`);
    throw thrown;
  }
}

function execute(cli: Cli, template: Template, data: { client: ClientFacts; server: VersionResponse | null }): string {
  try {
    const Client = typed("system.clientVersion", data.client);
    const Server = data.server === null ? null : typed("types.Version", { ...data.server });
    return template.execute({ goType: "system.versionInfo", field: (name: string) => ({ Client, Server })[name] });
  } catch (thrown) {
    if (!(thrown instanceof TemplateError)) throw thrown;
    cli.out.line("");
    throw new ExitStatus(1, thrown.message);
  }
}

/** In templates the fields have their names in Go, in JSON their old ones. */
function typed(goType: string, facts: Readonly<Record<string, unknown>>): Fields {
  return { goType, field: (name) => facts[name === "APIVersion" ? "ApiVersion" : name] };
}

function row(indent: number, name: string, value: string): string {
  return `${" ".repeat(indent)}${`${name}:`.padEnd(18 - (indent - 1))} ${value}\n`;
}

function showClient(client: ClientFacts): string {
  const downgraded =
    client.ApiVersion === client.DefaultAPIVersion ? "" : ` (downgraded from ${client.DefaultAPIVersion})`;
  return (
    `Client:\n${row(1, "Version", client.Version)}${row(1, "API version", client.ApiVersion + downgraded)}` +
    row(1, "Git commit", client.GitCommit) +
    row(1, "OS/Arch", `${client.Os}/${client.Arch}`) +
    row(1, "Context", client.Context)
  );
}

function showServer(server: VersionResponse): string {
  const name = server.Platform?.Name ? ` ${server.Platform.Name}` : "";
  let text = `\nServer:${name}\n Engine:\n${row(2, "Version", server.Version)}`;
  text += row(2, "API version", `${server.ApiVersion} (minimum version ${server.MinAPIVersion ?? ""})`);
  text += row(2, "Go version", server.GoVersion) + row(2, "Git commit", server.GitCommit);
  text += row(2, "Built", showBuildTime(server.BuildTime ?? "")) + row(2, "OS/Arch", `${server.Os}/${server.Arch}`);
  text += row(2, "Experimental", String(server.Experimental ?? false));
  for (const component of server.Components ?? []) {
    if (component.Name === "Engine") continue;
    text += ` ${component.Name}:\n${row(2, "Version", component.Version)}`;
    for (const [key, value] of Object.entries(component.Details ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
      text += row(2, key, value);
    }
  }
  return text;
}

/** RFC 3339 as "Thu May  7 21:09:36 2026". */
function showBuildTime(text: string): string {
  const milliseconds = Date.parse(text);
  if (Number.isNaN(milliseconds)) return text;
  const [day, month, date, year, time] = new Date(milliseconds)
    .toUTCString()
    .replace(",", "")
    .split(" ")
    .slice(0, 5) as [string, string, string, string, string];
  return `${day} ${date} ${String(Number(month)).padStart(2)} ${time} ${year}`;
}
