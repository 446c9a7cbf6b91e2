// A container's record from the command line: image unpacked, snapshot prepared, spec written. When any step fails,
// the snapshot goes again: nothing is left.

import { Options } from "../../../api/task/gen/runc_options.ts";
import { encodeUtf8 } from "../../../base/bytes.ts";
import { Failure } from "../../../base/errors.ts";
import { formatJson } from "../../../base/json.ts";
import type { Container } from "../../../core/containers/containers.ts";
import type { ImageConfig, Platform } from "../../../core/images/manifest.ts";
import { unpackImage } from "../../../core/images/unpack.ts";
import { rootOfMounts } from "../../../core/rootfs/walk.ts";
import type { Labels, TypedValue } from "../../../core/values.ts";
import type { Session } from "../call/session.ts";
import { parseLabels } from "../cli/format.ts";
import type { Invocation } from "../cli/invocation.ts";
import { specFromFile, specFromFlags } from "./spec.ts";
import { snapshotterOf } from "./unpack.ts";

export const SPEC_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
export const PROCESS_TYPE = "types.containerd.io/opencontainers/runtime-spec/1/Process";
const STOP_SIGNAL_LABEL = "io.containerd.image.config.stop-signal";
const RUNC = "io.containerd.runc.v2";

/** What the arguments name; "image ref must be provided" and the like when they do not. */
export interface Named {
  readonly reference: string;
  readonly id: string;
  readonly args: readonly string[];
}

export function namedBy(call: Invocation): Named {
  if (call.string("config") !== "") {
    if (call.args.length > 1) {
      throw new Failure("invalid_argument", "with spec config file, only container id should be provided");
    }
    if (call.arg(0) === "") throw missing(call, "container id must be provided");
    return { reference: "", id: call.arg(0), args: [] };
  }
  if (call.arg(0) === "") throw missing(call, "image ref must be provided");
  if (call.arg(1) === "") throw missing(call, "container id must be provided");
  return { reference: call.arg(0), id: call.arg(1), args: call.args.slice(2) };
}

/** `run`, which alone has --detach here, says it more briefly than `containers create`. */
function missing(call: Invocation, text: string): Failure {
  return new Failure("invalid_argument", call.has("detach") ? text : `${text}: invalid argument`);
}

export async function createContainer(call: Invocation, session: Session): Promise<Container> {
  const named = namedBy(call);
  const { id } = named;
  const runtime = { name: call.string("runtime"), options: runtimeOptions(call) };
  const plain = { id, runtime, extensions: {}, sandbox: "" };
  const labels = parseLabels(call.list("label"));
  if (call.string("config") !== "" || call.bool("rootfs")) {
    const none = { image: null, root: null, rootPath: named.reference };
    const made =
      call.string("config") !== "" ? specFromFile(call.string("config")) : specOf(call, session, named, none);
    const record = { ...plain, labels, image: "", spec: specValue(made), snapshotter: "", snapshotKey: "" };
    return session.nouns.containers.create(record);
  }
  const platform = call.has("platform") ? parsePlatform(call.string("platform")) : null;
  const image = await session.nouns.images.get(named.reference);
  const snapshotter = await snapshotterOf(session, call.string("snapshotter"));
  return session.leased(async (nouns) => {
    const options = { snapshotter, ...(platform === null ? {} : { platform }) };
    const { chainId, config } = await unpackImage(nouns, image.target, options);
    const snapshots = nouns.snapshots(snapshotter);
    const mounts = await snapshots.prepare(id, chainId, parseLabels(call.list("snapshotter-label")));
    try {
      const spec = specOf(call, session, named, { image: config, root: rootOfMounts(mounts), rootPath: null });
      const all: Labels = { ...imageLabels(config), ...image.labels, ...labels };
      const place = { image: image.name, snapshotter, snapshotKey: id, spec: specValue(spec) };
      return await nouns.containers.create({ ...plain, ...place, labels: all });
    } catch (thrown) {
      await snapshots.remove(id).catch(() => {});
      throw thrown;
    }
  });
}

function specOf(
  call: Invocation,
  session: Session,
  { id, args }: Named,
  from: Pick<Parameters<typeof specFromFlags>[1], "image" | "root" | "rootPath">,
): object {
  return specFromFlags(call, { namespace: session.namespace, id, args, ...from });
}

export function specValue(spec: object, typeUrl = SPEC_TYPE): TypedValue {
  return { typeUrl, value: encodeUtf8(formatJson(spec)) };
}

/** The image's own labels, as far as a label may be that long, and how the container wants to be stopped. */
function imageLabels(config: ImageConfig): Labels {
  const labels: Record<string, string> = {};
  for (const [key, value] of Object.entries(config.config?.Labels ?? {})) {
    if (key.startsWith("containerd.io/") || key.startsWith("io.containerd.")) continue;
    if (key.length + value.length <= 4096) labels[key] = value;
  }
  labels[STOP_SIGNAL_LABEL] = config.config?.StopSignal || "SIGTERM";
  return labels;
}

function runtimeOptions(call: Invocation): TypedValue | null {
  const name = call.string("runtime");
  const [binary, root, systemd] = call.has("runc-binary")
    ? [call.string("runc-binary"), call.string("runc-root"), call.bool("runc-systemd-cgroup")]
    : ["", "", false];
  if (name !== RUNC) {
    if (binary === "" && !systemd) return null;
    const text = `specifying runc-binary and runc-systemd-cgroup is only supported for "${RUNC}" runtime`;
    throw new Failure("invalid_argument", text);
  }
  if (systemd && !call.isSet("cgroup")) {
    throw new Failure("invalid_argument", "option --runc-systemd-cgroup requires --cgroup to be set");
  }
  const value = Options.encode({ ...Options.create(), binaryName: binary, root, systemdCgroup: systemd });
  return { typeUrl: Options.typeName, value };
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: "amd64", amd64: "amd64", aarch64: "arm64" };

/** "linux/amd64", "amd64", "linux"; null for the machine's own. */
function parsePlatform(text: string): Platform | null {
  if (text === "") return null;
  const own: Platform = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };
  const [first, second, variant] = text.toLowerCase().split("/");
  const known = (name: string) => ARCHITECTURES[name] ?? (/^(arm64|arm|386|s390x|ppc64le|riscv64)$/.test(name) && name);
  if (second === undefined) {
    if (first === "linux") return own;
    const architecture = known(first!);
    if (typeof architecture === "string") return { os: "linux", architecture };
    const text = `"${first}": unknown operating system or architecture: invalid argument`;
    throw new Failure("invalid_argument", text);
  }
  const architecture = ARCHITECTURES[second] ?? second;
  return { os: first!, architecture, ...(variant === undefined ? {} : { variant }) };
}
