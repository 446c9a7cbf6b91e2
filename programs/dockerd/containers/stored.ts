// The container's record in containerd: written when its document is new or changed, so that `ctr -n moby` shows what
// docker has, and that a start whose document is as stored needs no call at all.

import { join } from "node:path";
import { encodeUtf8 } from "../../../base/bytes.ts";
import { codeOf } from "../../../base/errors.ts";
import type { NewContainer } from "../../../core/containers/containers.ts";
import type { TypedValue } from "../../../core/values.ts";
import type { Containerd } from "../call/containerd/containerd.ts";
import { encodeRuncOptions } from "../call/containerd/options.ts";
import { RUNC_SHIM } from "../config/settings.ts";
import type { Engine } from "../engine.ts";
import type { Container } from "./container.ts";
import type { ContainerRecord } from "./record.ts";

const SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/** Records of a container that removes itself need not survive a power cut. */
export function containerdFor(engine: Engine, record: ContainerRecord): Containerd {
  return record.hostConfig.AutoRemove === true ? engine.containerd.relaxed() : engine.containerd;
}

export async function storeSpec(engine: Engine, container: Container, text: string): Promise<void> {
  if (container.storedSpec === text) return;
  const wanted = describe(engine, container, text);
  const { containers } = containerdFor(engine, container.record);
  if (container.storedSpec === null) {
    try {
      await containers.create(wanted);
    } catch (thrown) {
      if (codeOf(thrown) !== "already_exists") throw thrown;
      await containers.update(wanted, ["spec", "runtime"]);
    }
  } else await containers.update(wanted, ["spec"]);
  container.storedSpec = text;
}

export function runtimeOf(engine: Engine, container: Container): { name: string; options: TypedValue } {
  const name = container.record.hostConfig.Runtime || engine.settings.defaultRuntime;
  const setting = engine.settings.runtimes[name];
  const root = join(engine.settings.execRoot, `runtime-${name.replace(/[^a-zA-Z0-9._-]/g, "_")}`);
  return {
    name: setting?.type ?? RUNC_SHIM,
    options: encodeRuncOptions({ binaryName: setting?.path ?? "", root }),
  };
}

function describe(engine: Engine, container: Container, text: string): NewContainer {
  const { record } = container;
  return {
    id: record.id,
    image: record.imageName,
    labels: { "com.docker/engine.bundle.path": join(engine.settings.execRoot, "containerd", record.id) },
    runtime: runtimeOf(engine, container),
    spec: { typeUrl: SPEC_TYPE, value: encodeUtf8(text) },
    snapshotter: record.snapshotter,
    snapshotKey: record.id,
    extensions: {},
    sandbox: "",
  };
}
