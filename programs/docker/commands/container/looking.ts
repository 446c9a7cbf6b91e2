// Commands that look into a container: top, port, diff, export, prune, commit.

import type { ContainerInspect, FilesystemChange, PortBinding, TopResponse } from "../../../../api/engine/container.ts";
import type { PruneResponse } from "../../../../api/engine/system.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { alignTabs } from "../../format/table.ts";
import { humanSize } from "../../format/units.ts";
import { parseReference, pathSegment, repositoryOf } from "../../reference.ts";
import { saveBody } from "../image/archive.ts";
import { confirm, filterFlag, formatFilters } from "../shared.ts";

export const top: Command = {
  name: "top",
  summary: "Display the running processes of a container",
  usage: "CONTAINER [ps OPTIONS]",
  args: [1, null],
  interspersed: false,
  define:
    () =>
    async (cli, [name, ...options]) => {
      const query = { ps_args: options.length === 0 ? null : options.join(" ") };
      const answer = await cli.engine.get<TopResponse>(`/containers/${pathSegment(name!)}/top`, query);
      const lines = [answer.Titles, ...(answer.Processes ?? [])].map((cells) => cells.join("\t"));
      cli.out.line(alignTabs(lines.join("\n"), { least: 20 }));
    },
};

export const port: Command = {
  name: "port",
  summary: "List port mappings or a specific mapping for the container",
  usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
  args: [1, 2],
  define:
    () =>
    async (cli, [name, wanted]) => {
      const container = await cli.engine.get<ContainerInspect>(`/containers/${pathSegment(name!)}/json`);
      const ports = container.NetworkSettings.Ports ?? {};
      const address = ({ HostIp, HostPort }: PortBinding) =>
        `${HostIp.includes(":") ? `[${HostIp}]` : HostIp}:${HostPort}`;
      if (wanted !== undefined) {
        const [number, protocol = "tcp"] = wanted.split("/");
        if (!/^\d+$/.test(number!) || Number(number) > 65535) {
          throw new ExitStatus(1, `Error: invalid port (${number}): invalid syntax`);
        }
        const bindings = ports[`${number}/${protocol}`];
        if (!bindings) throw new ExitStatus(1, `Error: No public port '${wanted}' published for ${name}`);
        for (const binding of bindings) cli.out.line(address(binding));
        return;
      }
      const lines = Object.entries(ports).flatMap(([key, bindings]) =>
        (bindings ?? []).map((binding) => ({
          number: Number.parseInt(key, 10),
          text: `${key} -> ${address(binding)}`,
        })),
      );
      lines.sort((a, b) => a.number - b.number);
      for (const { text } of lines) cli.out.line(text);
    },
};

const CHANGE_LETTERS = ["C", "A", "D"];

export const diff: Command = {
  name: "diff",
  summary: "Inspect changes to files or directories on a container's filesystem",
  usage: "CONTAINER",
  args: [1, 1],
  define:
    () =>
    async (cli, [name]) => {
      const changes = await cli.engine.get<FilesystemChange[] | null>(`/containers/${pathSegment(name!)}/changes`);
      for (const change of changes ?? []) cli.out.line(`${CHANGE_LETTERS[change.Kind] ?? change.Kind} ${change.Path}`);
    },
};

export const exportContainer: Command = {
  name: "export",
  summary: "Export a container's filesystem as a tar archive",
  usage: "[OPTIONS] CONTAINER",
  args: [1, 1],
  define(set) {
    const output = set.string("output", "o", "Write to a file instead of STDOUT");
    return (cli, [name]) =>
      saveBody(cli, { path: output.value, what: "export container" }, () =>
        cli.engine.open("GET", `/containers/${pathSegment(name!)}/export`),
      );
  },
};

export const commit: Command = {
  name: "commit",
  summary: "Create a new image from a container's changes",
  usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
  args: [1, 2],
  define(set) {
    const author = set.string("author", "a", "Author");
    const change = set.list("change", "c", "Dockerfile instruction to apply to the new image");
    const message = set.string("message", "m", "Commit message");
    const pause = set.bool("pause", "p", "Pause the container meanwhile", true);
    const noPause = set.bool("no-pause", "", "Do not pause the container meanwhile");
    return async (cli, [name, target]) => {
      const reference = target === undefined ? null : parseReference(target);
      if (reference !== null && reference.digest !== "") {
        throw new ExitStatus(1, "refusing to create a tag with a digest reference");
      }
      const paused = pause.value && !noPause.value;
      const answer = await cli.engine.post<{ Id: string }>("/commit", {
        query: {
          author: author.value,
          comment: message.value,
          container: name!,
          repo: reference === null ? "" : repositoryOf(reference),
          tag: reference === null ? "" : reference.tag || "latest",
          pause: paused ? null : 0,
        },
        repeated: change.value.map((instruction) => ["changes", instruction] as const),
      });
      cli.out.line(answer.Id);
    };
  },
};

export const prune: Command = {
  name: "prune",
  summary: "Remove all stopped containers",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const force = set.bool("force", "f", "Do not ask");
    const filters = filterFlag(set, "", "Which to remove (until=<timestamp>, label=…)");
    return async (cli) => {
      const warning = "WARNING! This will remove all stopped containers.";
      if (!force.value && !(await confirm(cli, warning))) throw new ExitStatus(1, "container prune has been cancelled");
      const query = { filters: formatFilters(filters.value) };
      const answer = await cli.engine.post<PruneResponse>("/containers/prune", { query });
      const deleted = answer.ContainersDeleted ?? [];
      if (deleted.length > 0) cli.out.print(`Deleted Containers:\n${deleted.map((id) => `${id}\n`).join("")}\n`);
      cli.out.line(`Total reclaimed space: ${humanSize(answer.SpaceReclaimed ?? 0)}`);
    };
  },
};
