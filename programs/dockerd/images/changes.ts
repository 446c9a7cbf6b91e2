// Dockerfile instructions as `import -c` and `commit -c` take them: the few that only change the configuration.

import type { ImageConfig } from "../../../api/engine/image.ts";
import { Failure } from "../../../base/errors.ts";

export function applyChanges(base: ImageConfig, changes: readonly string[]): ImageConfig {
  const config: ImageConfig = { ...base };
  for (const line of changes.flatMap((text) => text.split("\n"))) {
    const match = /^\s*([A-Za-z]+)\s+(.*)$/s.exec(line);
    if (line.trim() === "") continue;
    if (match === null) throw new Failure("invalid_argument", `dockerfile parse error: ${line}`);
    applyOne(config, match[1]!.toUpperCase(), match[2]!.trim());
  }
  return config;
}

function applyOne(config: ImageConfig, instruction: string, text: string): void {
  switch (instruction) {
    case "CMD":
      config.Cmd = command(text);
      return;
    case "ENTRYPOINT":
      config.Entrypoint = command(text);
      return;
    case "ENV":
      config.Env = [...(config.Env ?? []), ...pairs(text).map(([name, value]) => `${name}=${value}`)];
      return;
    case "LABEL":
      config.Labels = { ...config.Labels, ...Object.fromEntries(pairs(text)) };
      return;
    case "EXPOSE":
      for (const port of text.split(/\s+/)) {
        config.ExposedPorts = { ...config.ExposedPorts, [port.includes("/") ? port : `${port}/tcp`]: {} };
      }
      return;
    case "VOLUME":
      for (const path of command(text, false)) config.Volumes = { ...config.Volumes, [path]: {} };
      return;
    case "USER":
      config.User = text;
      return;
    case "WORKDIR":
      config.WorkingDir = text;
      return;
    case "STOPSIGNAL":
      config.StopSignal = text;
      return;
    case "ONBUILD":
      config.OnBuild = [...(config.OnBuild ?? []), text];
      return;
    default:
      throw new Failure("invalid_argument", `${instruction} is not a valid change command`);
  }
}

/** The JSON form as it is; else for a shell, or split at blanks. */
function command(text: string, shell = true): string[] {
  if (text.startsWith("[")) {
    try {
      const words = JSON.parse(text) as unknown;
      if (Array.isArray(words) && words.every((word) => typeof word === "string")) return words;
    } catch {
      // Taken as a line for the shell.
    }
  }
  return shell ? ["/bin/sh", "-c", text] : text.split(/\s+/);
}

/** NAME=value, values in quotes, or the old form "NAME value". */
function pairs(text: string): [string, string][] {
  const found = [...text.matchAll(/([^\s=]+)=("(?:[^"\\]|\\.)*"|'[^']*'|\S*)/g)];
  if (found.length === 0) {
    const [name = "", ...rest] = text.split(/\s+/);
    return [[name, rest.join(" ")]];
  }
  return found.map(([, name, value]) => [name!, value!.replace(/^(["'])(.*)\1$/s, "$2").replace(/\\(.)/g, "$1")]);
}
