// Routes by method and path. A pattern is a path with {name} for one segment and {name*} for any number of them (image
// names have slashes); the first pattern that fits wins. Used by server.ts after the version prefix was taken off.

import type { Exchange } from "./exchange.ts";

export type Route = (exchange: Exchange) => Promise<void>;

interface Entry {
  method: string;
  shape: RegExp;
  names: string[];
  route: Route;
}

export class Router {
  readonly #entries: Entry[] = [];

  /** `where` is "METHOD /path/{parameter}". */
  add(where: string, route: Route): void {
    const [method, pattern] = where.split(" ") as [string, string];
    const names: string[] = [];
    const shape = pattern.replace(/\{(\w+)(\*?)\}/g, (_all, name: string, many: string) => {
      names.push(name);
      return many === "*" ? "(.+?)" : "([^/]+)";
    });
    this.#entries.push({ method, shape: new RegExp(`^${shape}$`, "s"), names, route });
  }

  find(method: string, path: string): { route: Route; params: Record<string, string> } | null {
    for (const entry of this.#entries) {
      if (entry.method !== method) continue;
      const match = entry.shape.exec(path);
      if (match === null) continue;
      const params = Object.fromEntries(entry.names.map((name, index) => [name, match[index + 1]!]));
      return { route: entry.route, params };
    }
    return null;
  }
}
