// Proxy settings of config.json, which run, create and exec's containers get as variables unless the command line sets
// them itself.

import type { ConfigFile, ProxyConfig } from "../config/config.ts";

const NAMES: Readonly<Record<string, keyof ProxyConfig>> = {
  ALL_PROXY: "allProxy",
  FTP_PROXY: "ftpProxy",
  HTTP_PROXY: "httpProxy",
  HTTPS_PROXY: "httpsProxy",
  NO_PROXY: "noProxy",
};

/** `host` as it stands in the configuration: "unix:///…"; else the default entry counts. */
export function withProxies(config: ConfigFile, host: string, env: readonly string[]): string[] {
  const proxies = config.proxies?.[host] ?? config.proxies?.["default"];
  if (proxies === undefined) return [...env];
  const set = new Set(env.map((entry) => entry.split("=")[0]!));
  const added: string[] = [];
  for (const [name, field] of Object.entries(NAMES)) {
    const value = proxies[field] ?? "";
    if (value === "") continue;
    for (const key of [name, name.toLowerCase()]) if (!set.has(key)) added.push(`${key}=${value}`);
  }
  return [...added, ...env];
}
