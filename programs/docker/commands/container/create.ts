// docker create, and the part of docker run that makes the container: pulls the image when it is missing.

import type { CreateContainerRequest, CreateContainerResponse } from "../../../../api/engine/container.ts";
import { isMissingImage } from "../../../../api/engine/messages.ts";
import { encodeUtf8 } from "../../../../base/bytes.ts";
import { messageOf } from "../../../../base/errors.ts";
import { DaemonError } from "../../call/engine/engine.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus, withHelp } from "../../failure.ts";
import { containerBody } from "../../options/containerBody.ts";
import { type ContainerFlags, defineContainerFlags } from "../../options/containerFlags.ts";
import { withProxies } from "../../options/proxies.ts";
import { familiarReference, parseReference } from "../../reference.ts";
import { consoleSize } from "../../stream/terminal.ts";
import { pullImage } from "../image/pull.ts";

const PULL_CHOICES = ["always", "missing", "never"];

export const create: Command = {
  name: "create",
  summary: "Create a new container",
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  args: [1, null],
  interspersed: false,
  define(set, runtime) {
    const flags = defineContainerFlags(set, () => runtime);
    return async (cli, args) => {
      await requireSupport(cli, flags);
      const body = bodyOf(cli, flags, args);
      body.HostConfig!.ConsoleSize = consoleSize(cli);
      cli.out.line(await createContainer(cli, flags, body));
    };
  },
};

/** Refuses flags that this daemon could only ignore: those of Windows, and those newer than it. */
export async function requireSupport(cli: Cli, flags: ContainerFlags): Promise<void> {
  const windows: string[] = [];
  if (flags.cpuCount.changed) windows.push("cpu-count");
  if (flags.cpuPercent.changed) windows.push("cpu-percent");
  if (flags.ioMaxBandwidth.changed) windows.push("io-maxbandwidth");
  if (flags.ioMaxIops.changed) windows.push("io-maxiops");
  const complaints = windows.map((name) => `"--${name}" ${ONLY_ON_WINDOWS}`);
  const newer: [name: string, flag: { changed: boolean }, version: string][] = [
    ["annotation", flags.annotation, "1.43"],
    ["health-start-interval", flags.healthStartInterval, "1.44"],
  ];
  for (const [name, flag, version] of newer) {
    if (!flag.changed || (await cli.engine.atLeast(version))) continue;
    const words = `requires API version ${version}, but the Docker daemon API version is ${await cli.engine.version()}`;
    complaints.push(`"--${name}" ${words}`);
  }
  if (complaints.length > 0) throw new ExitStatus(1, complaints.join("\n"));
}

const ONLY_ON_WINDOWS =
  "is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux";

/** The body, or exit 125 with what is wrong with the flags. */
export function bodyOf(cli: Cli, flags: ContainerFlags, args: readonly string[]): CreateContainerRequest {
  try {
    if (!PULL_CHOICES.includes(flags.pull.value)) {
      throw new Error(`invalid pull option: '${flags.pull.value}': must be one of "always", "missing" or "never"`);
    }
    const body = containerBody(flags, args, cli.runtime);
    const env = withProxies(cli.config, cli.endpoint().host, body.Env ?? []);
    return { ...body, Env: env.length === 0 ? null : env };
  } catch (thrown) {
    throw withHelp(125, messageOf(thrown), cli.path);
  }
}

/** The new container's id. */
export async function createContainer(cli: Cli, flags: ContainerFlags, body: CreateContainerRequest): Promise<string> {
  const { cidfile, pull, quiet } = flags;
  if (cidfile.value !== "" && cli.runtime.files.stat(cidfile.value) !== null) {
    const advice = `make sure the other container isn't running or delete ${cidfile.value}`;
    throw new Error(`container ID file found, ${advice}`);
  }
  const platform = flags.platform.value || cli.runtime.env["DOCKER_DEFAULT_PLATFORM"] || "";
  if (!/^(sha256:)?[a-f0-9]{64}$/.test(body.Image)) parseReference(body.Image);
  const fetchImage = () => pullImage(cli, body.Image, { platform, quiet: quiet.value, toStderr: true });
  if (pull.value === "always") await fetchImage();
  await fitToVersion(cli, body);
  const send = () =>
    cli.engine.post<CreateContainerResponse>("/containers/create", {
      query: { name: flags.name.value || null, platform: platform || null },
      json: body,
    });
  let created: CreateContainerResponse;
  try {
    created = await send();
  } catch (thrown) {
    const missing = thrown instanceof DaemonError && isMissingImage(thrown.status, thrown.daemonMessage);
    if (!missing || pull.value !== "missing") throw thrown;
    cli.err.line(`Unable to find image '${familiarReference(parseReference(body.Image))}' locally`);
    await fetchImage();
    created = await send();
  }
  for (const warning of created.Warnings ?? []) cli.err.line(`WARNING: ${warning}`);
  if (cidfile.value !== "") {
    const mode = 0o666 & ~0o022;
    cli.runtime.files.replace(cidfile.value, encodeUtf8(created.Id), mode);
  }
  return created.Id;
}

/** Older daemons want a few fields elsewhere or not at all. */
async function fitToVersion(cli: Cli, body: CreateContainerRequest): Promise<void> {
  const endpoints = Object.values(body.NetworkingConfig?.EndpointsConfig ?? {});
  if (await cli.engine.atLeast("1.42")) delete body.HostConfig?.KernelMemory;
  if (!(await cli.engine.atLeast("1.44"))) {
    if (endpoints.length > 1)
      throw new ExitStatus(
        1,
        "Container cannot be connected to network endpoints: multiple endpoints need API version 1.44",
      );
    const mac = endpoints[0]?.MacAddress ?? "";
    if (mac !== "") body.MacAddress = mac;
    if (body.Healthcheck !== undefined) body.Healthcheck.StartInterval = 0;
  }
}
