// docker pull and push: the daemon does the work and reports progress.

import { encodeUtf8, toBase64 } from "../../../../base/bytes.ts";
import { formatJson, type Json } from "../../../../base/json.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { registryAuth } from "../../config/credentials.ts";
import { ExitStatus } from "../../failure.ts";
import { type ImageReference, parseReference, pathSegment, repositoryOf } from "../../reference.ts";
import { progressTo, showProgress } from "../../stream/progress.ts";

export interface PullOptions {
  platform: string;
  quiet: boolean;
  /** run and create keep stdout for the container. */
  toStderr: boolean;
}

export async function pullImage(cli: Cli, image: string, options: PullOptions): Promise<void> {
  const reference = parseReference(image);
  const sink = progressTo(cli, options.toStderr ? 2 : 1);
  const response = await cli.engine.open("POST", "/images/create", {
    query: {
      fromImage: repositoryOf(reference),
      platform: options.platform || null,
      tag: reference.digest || reference.tag || "latest",
    },
    headers: [["X-Registry-Auth", await authHeader(cli, reference)]],
  });
  await showProgress(response.body, { ...sink, silent: options.quiet });
}

export async function authHeader(cli: Cli, reference: ImageReference): Promise<string> {
  const auth = await registryAuth(cli, reference.domain);
  return toBase64(encodeUtf8(formatJson((auth ?? {}) as Json)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_");
}

export const pull: Command = {
  name: "pull",
  summary: "Download an image from a registry",
  usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
  args: [1, 1],
  define(set) {
    const allTags = set.bool("all-tags", "a", "Download all tagged images of the repository");
    const platform = set.string("platform", "", "Platform of the image");
    const quiet = set.bool("quiet", "q", "Do not show progress");
    set.bool("disable-content-trust", "", "Skip verification of the image", true);
    return async (cli, [name]) => {
      const reference = parseReference(name!);
      const given = reference.tag !== "" || reference.digest !== "";
      if (allTags.value && given) throw new ExitStatus(1, "tag can't be used with --all-tags/-a");
      if (!allTags.value && !given && !quiet.value) cli.out.line("Using default tag: latest");
      await pullImage(cli, name!, { platform: platform.value, quiet: quiet.value, toStderr: false });
      cli.out.line(
        repositoryOf(reference) + (reference.digest === "" ? `:${reference.tag || "latest"}` : `@${reference.digest}`),
      );
    };
  },
};

export const push: Command = {
  name: "push",
  summary: "Upload an image to a registry",
  usage: "[OPTIONS] NAME[:TAG]",
  args: [1, 1],
  define(set) {
    const allTags = set.bool("all-tags", "a", "Push all tags of the repository");
    const platform = set.string("platform", "", "Push only this platform's image");
    const quiet = set.bool("quiet", "q", "Do not show progress");
    set.bool("disable-content-trust", "", "Skip signing of the image", true);
    return async (cli, [name]) => {
      const reference = parseReference(name!);
      if (allTags.value && reference.tag !== "") throw new ExitStatus(1, "tag can't be used with --all-tags/-a");
      if (!allTags.value && reference.tag === "" && !quiet.value) cli.out.line("Using default tag: latest");
      const response = await cli.engine.open("POST", `/images/${pathSegment(repositoryOf(reference))}/push`, {
        query: { tag: allTags.value ? null : reference.tag || "latest", platform: platformJson(platform.value) },
        headers: [["X-Registry-Auth", await authHeader(cli, reference)]],
      });
      await showProgress(response.body, { ...progressTo(cli, 1), silent: quiet.value });
      if (quiet.value) cli.out.line(`${reference.domain}/${reference.path}:${reference.tag || "latest"}`);
    };
  },
};

/** "linux/arm64/v8" as the API takes a platform; null for none. */
export function platformJson(text: string): string | null {
  if (text === "") return null;
  const [os, architecture, variant] = text.split("/");
  if (architecture === undefined) return JSON.stringify({ architecture: "", os });
  return JSON.stringify({ architecture, os, ...(variant === undefined ? {} : { variant }) });
}
