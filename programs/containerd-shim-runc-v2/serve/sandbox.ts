// The sandbox service over ttrpc, for a daemon whose sandboxer is the shim. A sandbox is this shim's containers with
// the namespaces they share (sandbox.ts).

import * as api from "../../../api/task/gen/sandbox.ts";
import { Failure } from "../../../base/errors.ts";
import type { HandlersOf } from "../../../wire/call.ts";
import { SANDBOX_STOP_TIMEOUT } from "../limits.ts";
import { planOf, Sandbox } from "../sandbox.ts";
import type { Shim } from "../shim.ts";
import { timestamp } from "../time.ts";

export const SandboxService = api.Sandbox;

export function sandboxHandlers(shim: Shim): HandlersOf<typeof api.Sandbox> {
  const now = () => shim.runtime.clock.nowNanoseconds();
  const sandbox = (id: string): Sandbox => {
    if (shim.sandbox === null || shim.sandbox.id !== id) throw new Failure("not_found", `sandbox ${id}`);
    return shim.sandbox;
  };
  return {
    async createSandbox({ sandboxId, bundlePath, netnsPath }) {
      if (shim.sandbox !== null) throw new Failure("already_exists", `sandbox ${shim.sandbox.id}`);
      if (sandboxId === "") throw new Failure("invalid_argument", "a sandbox needs an id");
      shim.sandbox = new Sandbox(sandboxId, planOf(bundlePath, netnsPath), shim.reaper);
      return {};
    },
    async startSandbox({ sandboxId }) {
      const found = sandbox(sandboxId);
      found.start(now());
      return { pid: found.pid, createdAt: timestamp(found.createdAt), spec: null };
    },
    async platform({ sandboxId }) {
      sandbox(sandboxId);
      return { platform: { os: "linux", architecture: "amd64", variant: "", osVersion: "", osFeatures: [] } };
    },
    async stopSandbox({ sandboxId, timeoutSecs }) {
      await stop(shim, sandbox(sandboxId), timeoutSecs);
      return {};
    },
    async waitSandbox({ sandboxId }) {
      const ended = await sandbox(sandboxId).wait();
      return { exitStatus: ended.code, exitedAt: timestamp(ended.at) };
    },
    async sandboxStatus({ sandboxId, verbose }) {
      const { id, pid, ended, createdAt } = sandbox(sandboxId);
      const state = ended === null && pid !== 0 ? "SANDBOX_READY" : "SANDBOX_NOTREADY";
      const info: Record<string, string> = verbose ? { containers: [...shim.containers.keys()].join(" ") } : {};
      const times = { createdAt: timestamp(createdAt), exitedAt: ended === null ? null : timestamp(ended.at) };
      return { sandboxId: id, pid, state, info, ...times, extra: null };
    },
    async pingSandbox({ sandboxId }) {
      sandbox(sandboxId);
      return {};
    },
    async shutdownSandbox({ sandboxId }) {
      const found = sandbox(sandboxId);
      await stop(shim, found, 0);
      shim.sandbox = null;
      if (shim.containers.size === 0) shim.shutdown();
      return {};
    },
    async sandboxMetrics({ sandboxId }) {
      sandbox(sandboxId);
      throw new Failure("unimplemented", "a sandbox has no control group of its own: ask its containers");
    },
  };
}

/** Its containers first: without the namespaces they could not go on. */
async function stop(shim: Shim, sandbox: Sandbox, seconds: number): Promise<void> {
  const { clock } = shim.runtime;
  for (const one of shim.containers.values()) await one.kill("", 9, true).catch(() => {});
  const running = () => [...shim.containers.values()].some((one) => one.init.alive);
  const deadline = clock.monotonic() + (seconds === 0 ? SANDBOX_STOP_TIMEOUT : seconds * 1000);
  while (running() && clock.monotonic() < deadline) await clock.sleep(5);
  sandbox.stop(clock.nowNanoseconds());
  await sandbox.wait();
}
