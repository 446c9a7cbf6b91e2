// What a registry is told of who we are: from a credential helper when the configuration names one, else from the
// configuration itself.

import type { AuthConfig } from "../../../api/engine/image.ts";
import { decodeUtf8, encodeUtf8 } from "../../../base/bytes.ts";
import { Failure } from "../../../base/errors.ts";
import { parseJson } from "../../../base/json.ts";
import type { Cli } from "../cli.ts";
import { readStoredAuth } from "./config.ts";
import { findProgram } from "./spawned.ts";

export const HUB_KEY = "https://index.docker.io/v1/";
const MAX_HELPER_BYTES = 64 * 1024;

/** The key under which a registry's credentials are kept. */
export function registryKey(domain: string): string {
  return domain === "docker.io" || domain === "index.docker.io" ? HUB_KEY : domain;
}

export function helperFor(cli: Cli, key: string): string {
  return cli.config.credHelpers?.[key] ?? cli.config.credsStore ?? "";
}

/** Null when nothing is known. */
export async function registryAuth(cli: Cli, domain: string): Promise<AuthConfig | null> {
  const key = registryKey(domain);
  const helper = helperFor(cli, key);
  if (helper !== "") {
    const answer = await runHelper(cli, helper, { action: "get", input: key });
    if (answer === null) return null;
    const { Username, Secret } = parseJson(answer) as { Username: string; Secret: string };
    if (Username === "<token>") return { identitytoken: Secret, serveraddress: key };
    return { username: Username, password: Secret, serveraddress: key };
  }
  const stored = cli.config.auths?.[key];
  if (stored === undefined) return null;
  const login = readStoredAuth(stored);
  return {
    ...(login ?? {}),
    serveraddress: key,
    ...(stored.identitytoken ? { identitytoken: stored.identitytoken } : {}),
    ...(stored.registrytoken ? { registrytoken: stored.registrytoken } : {}),
  };
}

/** The helper's answer; null when it knows nothing. The protocol is text on stdin and JSON on stdout. */
export async function runHelper(
  cli: Cli,
  helper: string,
  call: { action: string; input: string },
): Promise<string | null> {
  const path = findProgram(cli.runtime, `docker-credential-${helper}`);
  const child = cli.runtime.spawn(path, { args: [call.action], stdin: "pipe", stdout: "pipe" });
  await child.stdin!.write(encodeUtf8(call.input));
  child.stdin!.close();
  let text = "";
  const into = new Uint8Array(4096);
  for (let count = await child.stdout!.read(into); count > 0; count = await child.stdout!.read(into)) {
    text += decodeUtf8(into.subarray(0, count));
    if (text.length > MAX_HELPER_BYTES)
      throw new Failure("resource_exhausted", `docker-credential-${helper}: answer too long`);
  }
  const { exitCode } = await child.wait();
  if (exitCode === 0) return text;
  if (/credentials not found/.test(text)) return null;
  throw new Failure("unknown", `error getting credentials - err: exit status ${exitCode}, out: \`${text.trim()}\``);
}
