// The sandbox service over ttrpc, for a daemon whose sandboxer is the shim. A sandbox is this shim's containers with
// the namespaces they share (sandbox.ts).

import * as api from "../../../api/task/gen/sandbox.ts";
import { Failure } from "../../../base/errors.ts";
import { workingDirectory } from "../../../linux/fd.ts";
import type { CancelSource, HandlersOf } from "../../../wire/call.ts";
import { keepAddress } from "../address.ts";
import { SANDBOX_STOP_TIMEOUT } from "../limits.ts";
import { planOf, Sandbox } from "../sandbox.ts";
import type { Shim } from "../shim.ts";
import { timestamp } from "../time.ts";

export const SandboxService = api.Sandbox;

export function sandboxHandlers(shim: Shim): HandlersOf<typeof api.Sandbox> {
  const sandbox = (id: string): Sandbox => {
    if (shim.sandbox === null || shim.sandbox.id !== id) throw new Failure("not_found", `sandbox ${id}`);
    return shim.sandbox;
  };
  return {
    async createSandbox({ sandboxId, bundlePath, netnsPath }) {
      if (shim.sandbox !== null) throw new Failure("already_exists", `sandbox ${shim.sandbox.id}`);
      if (sandboxId === "") throw new Failure("invalid_argument", "a sandbox needs an id");
      const bundle = bundlePath === "" ? workingDirectory() : bundlePath;
      // Where another shim will be asked to take over, though `start` may have run in another one.
      if (shim.socket !== "") keepAddress(bundle, shim.socket);
      shim.sandbox = Sandbox.create(shim, bundle, { id: sandboxId, plan: planOf(bundle, netnsPath) });
      return {};
    },
    async startSandbox({ sandboxId }) {
      const found = sandbox(sandboxId);
      found.start();
      return { pid: found.pid, createdAt: timestamp(found.createdAt), spec: null };
    },
    async platform({ sandboxId }) {
      sandbox(sandboxId);
      return { platform: { os: "linux", architecture: "amd64", variant: "", osVersion: "", osFeatures: [] } };
    },
    async stopSandbox({ sandboxId, timeoutSecs }, caller) {
      await stop(sandbox(sandboxId), { shim, caller, seconds: timeoutSecs });
      return {};
    },
    async waitSandbox({ sandboxId }, caller) {
      const ended = await sandbox(sandboxId).wait(caller);
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
    async shutdownSandbox({ sandboxId }, caller) {
      const found = sandbox(sandboxId);
      await stop(found, { shim, caller, seconds: 0 });
      shim.sandbox = null;
      found.forget();
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
async function stop(sandbox: Sandbox, how: { shim: Shim; caller: CancelSource; seconds: number }): Promise<void> {
  const { shim, caller, seconds } = how;
  const { clock } = shim.runtime;
  sandbox.askToStop();
  for (const one of shim.containers.values()) await one.kill("", 9, true).catch(() => {});
  const running = () => [...shim.containers.values()].some((one) => one.init.alive);
  const deadline = clock.monotonic() + (seconds === 0 ? SANDBOX_STOP_TIMEOUT : seconds * 1000);
  while (running() && clock.monotonic() < deadline) await clock.sleep(5);
  sandbox.stop();
  await sandbox.wait(caller);
}
