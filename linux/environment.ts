// The environment the program was started with.

import { door } from "./door.ts";

/** The last entry of that name counts; null when it is not set. One of many is looked for: all of them as an object
 *  would cost more than everything else that a flag does. */
export function variable(name: string): string | null {
  const { env } = door();
  const start = `${name}=`;
  for (let at = env.length - 1; at >= 0; at--) if (env[at]!.startsWith(start)) return env[at]!.slice(start.length);
  return null;
}

export function environment(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const entry of door().env) {
    const at = entry.indexOf("=");
    if (at > 0) env[entry.slice(0, at)] = entry.slice(at + 1);
  }
  return env;
}
