// The services that say what this daemon is: version, introspection, health.

import { type Health, HealthCheckResponse_ServingStatus } from "../../../api/containerd/gen/health.ts";
import type { Introspection, Plugin } from "../../../api/containerd/gen/introspection.ts";
import { RuntimeInfo, RuntimeRequest } from "../../../api/containerd/gen/types.ts";
import type { Version } from "../../../api/containerd/gen/version.ts";
import { Failure } from "../../../base/errors.ts";
import { fieldReader, parseFilters } from "../../../core/filters/filter.ts";
import { SNAPSHOTTER } from "../../../core/snapshots/overlay.ts";
import type { HandlersOf } from "../../../wire/call.ts";
import { DEFAULT_RUNTIME, type Runtimes } from "../tasks/runtime.ts";
import { shimInfo } from "../tasks/shim-info.ts";

const SERVICES = [
  "containers",
  "content",
  "diff",
  "events",
  "healthcheck",
  "images",
  "introspection",
  "leases",
  "namespaces",
  "snapshots",
  "tasks",
  "version",
];

export interface AboutFacts {
  version: string;
  revision: string;
  uuid: string;
  root: string;
  /** Transactions so far, and those that waited for the disk: what a bench divides by its runs. */
  commits: () => { all: number; synced: number };
}

export function serveVersion(facts: AboutFacts): HandlersOf<typeof Version> {
  return { version: async () => ({ version: facts.version, revision: facts.revision }) };
}

export function serveHealth(): HandlersOf<typeof Health> {
  const serving = { status: HealthCheckResponse_ServingStatus.SERVING };
  const check = (service: string) => {
    if (service !== "") throw new Failure("not_found", "unknown service");
    return serving;
  };
  return {
    check: async ({ service }) => check(service),
    list: async () => ({ statuses: { "": serving } }),
    async *watch({ service }, context) {
      yield check(service);
      await new Promise<void>((resolve) => context.onCancel(resolve));
    },
  };
}

export function serveIntrospection(facts: AboutFacts, runtimes: Runtimes): HandlersOf<typeof Introspection> {
  return {
    async plugins({ filters }) {
      const filter = parseFilters(filters);
      const matching = plugins(facts).filter((plugin) => {
        const reader = fieldReader({ type: plugin.type, id: plugin.id }, plugin.exports);
        return filter((path) => (path[0] === "capabilities" ? capability(plugin, path) : reader(path)));
      });
      return { plugins: matching };
    },
    async server() {
      return { uuid: facts.uuid, pid: BigInt(process.pid), pidns: 0n, deprecations: [] };
    },
    async pluginInfo({ type, id, options }) {
      const plugin = plugins(facts).find((known) => known.type === type && known.id === id);
      if (plugin === undefined) throw new Failure("not_found", `plugin ${type}.${id}: not found`);
      if (type !== "io.containerd.runtime.v2" || options === null) return { plugin, extra: null };
      const request = RuntimeRequest.decode(options.value);
      const name = request.runtimePath === "" ? DEFAULT_RUNTIME : request.runtimePath;
      const { path } = await runtimes.resolve(name, "");
      const info = await shimInfo(path, request.options);
      return { plugin, extra: { typeUrl: RuntimeInfo.typeName, value: info } };
    },
  };
}

function capability(plugin: Plugin, path: readonly string[]): string | null {
  return path[1] !== undefined && plugin.capabilities.includes(path[1]) ? path[1] : null;
}

function plugins(facts: AboutFacts): Plugin[] {
  const plugin = (type: string, id: string, given: Partial<Plugin> = {}): Plugin => ({
    ...{ type, id, requires: [], platforms: [], exports: {}, capabilities: [], initErr: null },
    ...given,
  });
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const platforms = [{ os: "linux", architecture, variant: "", osVersion: "", osFeatures: [] }];
  const { all, synced } = facts.commits();
  const snapshotter = { root: `${facts.root}/io.containerd.snapshotter.v1.${SNAPSHOTTER}` };
  return [
    plugin("io.containerd.content.v1", "content", {
      exports: { root: `${facts.root}/io.containerd.content.v1.content` },
    }),
    plugin("io.containerd.snapshotter.v1", SNAPSHOTTER, { platforms, exports: snapshotter }),
    plugin("io.containerd.metadata.v1", "sqlite", {
      exports: { commits: String(all), synced_commits: String(synced) },
    }),
    plugin("io.containerd.gc.v1", "scheduler"),
    plugin("io.containerd.differ.v1", "unpack", { platforms }),
    plugin("io.containerd.event.v1", "exchange"),
    plugin("io.containerd.runtime.v2", "task", { platforms }),
    ...SERVICES.map((service) => plugin("io.containerd.grpc.v1", service)),
  ];
}
