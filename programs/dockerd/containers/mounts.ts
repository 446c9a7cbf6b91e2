// From -v, --mount, --tmpfs, --volumes-from and the image's VOLUMEs to one list of mount points, each destination once.
// Order of strength, as in the original: volumes-from, then binds, then mounts; what the image declares comes last.

import { existsSync, lstatSync, mkdirSync } from "node:fs";
import { posix } from "node:path";
import { Failure } from "../../../base/errors.ts";
import type { Volumes } from "../volumes/volumes.ts";
import type { ContainerConfig, HostConfig, MountRequest } from "./config.ts";
import type { Container } from "./container.ts";
import type { MountPoint } from "./record.ts";

const PROPAGATIONS = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

export interface MountInput {
  config: ContainerConfig;
  hostConfig: HostConfig;
  imageVolumes: readonly string[];
  containerId: string;
  volumes: Volumes;
  find: (reference: string) => Container;
}

export async function resolveMounts(input: MountInput): Promise<MountPoint[]> {
  const points = new Map<string, MountPoint>();
  for (const point of inherited(input)) points.set(point.Destination, point);
  const asked = new Set<string>();
  const place = (point: MountPoint) => {
    if (asked.has(point.Destination)) {
      throw new Failure("invalid_argument", `Duplicate mount point: ${point.Destination}`);
    }
    asked.add(point.Destination);
    points.set(point.Destination, point);
  };
  for (const bind of input.hostConfig.Binds ?? []) place(await parseBind(bind, input));
  for (const mount of input.hostConfig.Mounts ?? []) place(await parseMount(mount, input));
  for (const [destination, options] of Object.entries(input.hostConfig.Tmpfs ?? {})) {
    place(tmpfsPoint(checkDestination(destination, destination), options));
  }
  const declared = [...Object.keys(input.config.Volumes ?? {}), ...input.imageVolumes];
  for (const destination of declared) {
    const clean = checkDestination(destination, destination);
    if (!points.has(clean)) points.set(clean, await anonymousVolume(clean, input));
  }
  return [...points.values()];
}

function inherited(input: MountInput): MountPoint[] {
  const points: MountPoint[] = [];
  for (const text of input.hostConfig.VolumesFrom ?? []) {
    const [reference, mode = ""] = text.split(":") as [string, string?];
    if (mode !== "" && !["ro", "rw", "z", "Z"].includes(mode)) {
      throw new Failure("invalid_argument", `invalid mode: ${mode}`);
    }
    for (const point of input.find(reference).record.mounts) {
      if (point.Type === "tmpfs") continue;
      const rw = point.RW && mode !== "ro";
      const options = point.options.filter((option) => option !== "ro" && option !== "rw");
      points.push({ ...point, RW: rw, options: [...options, rw ? "rw" : "ro"], anonymous: false });
    }
  }
  return points;
}

async function parseBind(text: string, input: MountInput): Promise<MountPoint> {
  const parts = text.split(":");
  const wrong = () => new Failure("invalid_argument", `invalid volume specification: '${text}'`);
  if (parts.length < 1 || parts.length > 3 || parts.some((part) => part === "")) throw wrong();
  if (parts.length === 1) {
    const destination = checkDestination(parts[0]!, text);
    return anonymousVolume(destination, input);
  }
  const [source, target, modeText = ""] = parts as [string, string, string?];
  const destination = checkDestination(target, text);
  const mode = parseMode(modeText);
  if (mode === null) throw new Failure("invalid_argument", `invalid mode: ${modeText}`);
  if (source.startsWith("/")) {
    // The short form makes a missing source a folder.
    if (!existsSync(source)) mkdirSync(source, { recursive: true, mode: 0o755 });
    return bindPoint({ source: posix.normalize(source), destination, mode, text: modeText, fromMounts: false });
  }
  checkVolumeName(source, text);
  const volume = await input.volumes.createFor(source, { driver: input.hostConfig.VolumeDriver ?? "" });
  return volumePoint({ name: source, source: volume.mountpoint, destination, mode, text: modeText, anonymous: false });
}

function checkVolumeName(source: string, text: string): void {
  if (VOLUME_NAME.test(source)) return;
  throw new Failure(
    "invalid_argument",
    `create ${source}: "${source}" includes invalid characters for a local volume name, only ` +
      '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
    { facts: { text } },
  );
}

async function parseMount(mount: MountRequest, input: MountInput): Promise<MountPoint> {
  const type = mount.Type ?? "";
  const refuse = (words: string) =>
    new Failure("invalid_argument", `invalid mount config for type "${type}": ${words}`);
  if ((mount.Target ?? "") === "") throw refuse("field Target must not be empty");
  const destination = checkDestination(mount.Target, mount.Target);
  const readOnly = mount.ReadOnly === true;
  if (type === "tmpfs") {
    if ((mount.Source ?? "") !== "") throw refuse("field Source must not be specified");
    return { ...tmpfsPoint(destination, tmpfsOptions(mount, readOnly)), RW: !readOnly, fromMounts: true };
  }
  if (type === "bind") return parseBindMount(mount, destination, refuse);
  if (type !== "volume") throw new Failure("invalid_argument", `mount type unknown: "${type}"`);
  const options = mount.VolumeOptions;
  const mode = { readOnly, propagation: "", noCopy: options?.NoCopy === true };
  const name = mount.Source ?? "";
  const wanted = {
    driver: options?.DriverConfig?.Name ?? "",
    options: options?.DriverConfig?.Options ?? {},
    labels: options?.Labels ?? {},
  };
  if (name !== "") checkVolumeName(name, name);
  const volume = await (name === "" ? input.volumes.createAnonymous(wanted) : input.volumes.createFor(name, wanted));
  const subpath = options?.Subpath ?? "";
  if (subpath !== "" && (subpath.startsWith("/") || posix.normalize(subpath).startsWith(".."))) {
    throw refuse("subpath must be a relative path within the volume");
  }
  const source = subpath === "" ? volume.mountpoint : posix.join(volume.mountpoint, subpath);
  const point = volumePoint({ name: volume.name, source, destination, mode, text: "z", anonymous: name === "" });
  return { ...point, fromMounts: true };
}

function parseBindMount(mount: MountRequest, destination: string, refuse: (words: string) => Failure): MountPoint {
  const source = mount.Source ?? "";
  if (source === "") throw refuse("field Source must not be empty");
  if (!source.startsWith("/")) {
    throw refuse(`invalid mount path: '${source}' mount path must be absolute`);
  }
  const options = mount.BindOptions;
  const propagation = options?.Propagation ?? "";
  if (propagation !== "" && !PROPAGATIONS.includes(propagation)) {
    throw refuse(`invalid propagation mode: ${propagation}`);
  }
  if (!existsSync(source)) {
    if (options?.CreateMountpoint !== true) throw refuse(`bind source path does not exist: ${source}`);
    mkdirSync(source, { recursive: true, mode: 0o755 });
  }
  const mode = { readOnly: mount.ReadOnly === true, propagation, noCopy: false };
  const point = bindPoint({ source: posix.normalize(source), destination, mode, text: "", fromMounts: true });
  if (options?.NonRecursive === true) point.options[0] = "bind";
  return point;
}

interface Mode {
  readOnly: boolean;
  propagation: string;
  noCopy: boolean;
}

/** "ro,rslave", "z", "nocopy": each word once, at most one of a kind. Null when one is unknown. */
function parseMode(text: string): Mode | null {
  const mode: Mode = { readOnly: false, propagation: "", noCopy: false };
  if (text === "") return mode;
  const seen = new Set<string>();
  for (const word of text.split(",")) {
    const kind = ["ro", "rw"].includes(word) ? "write" : PROPAGATIONS.includes(word) ? "propagation" : word;
    if (seen.has(kind)) return null;
    seen.add(kind);
    if (kind === "write") mode.readOnly = word === "ro";
    else if (kind === "propagation") mode.propagation = word;
    else if (word === "nocopy") mode.noCopy = true;
    // SELinux labels and consistency say nothing on this system.
    else if (!["z", "Z", "consistent", "cached", "delegated"].includes(word)) return null;
  }
  return mode;
}

function bindPoint(of: {
  source: string;
  destination: string;
  mode: Mode;
  text: string;
  fromMounts: boolean;
}): MountPoint {
  const propagation = of.mode.propagation === "" ? "rprivate" : of.mode.propagation;
  return {
    Type: "bind",
    Name: "",
    Source: of.source,
    Destination: of.destination,
    Driver: "",
    Mode: of.text,
    RW: !of.mode.readOnly,
    Propagation: propagation,
    options: ["rbind", propagation, of.mode.readOnly ? "ro" : "rw"],
    anonymous: false,
    copyUp: false,
    fromMounts: of.fromMounts,
  };
}

function volumePoint(of: {
  name: string;
  source: string;
  destination: string;
  mode: Mode;
  text: string;
  anonymous: boolean;
}): MountPoint {
  return {
    Type: "volume",
    Name: of.name,
    Source: of.source,
    Destination: of.destination,
    Driver: "local",
    Mode: of.text === "" ? "z" : of.text,
    RW: !of.mode.readOnly,
    Propagation: of.mode.propagation,
    options: ["rbind", of.mode.propagation === "" ? "rprivate" : of.mode.propagation, of.mode.readOnly ? "ro" : "rw"],
    anonymous: of.anonymous,
    copyUp: !of.mode.noCopy,
    fromMounts: false,
  };
}

async function anonymousVolume(destination: string, input: MountInput): Promise<MountPoint> {
  const driver = input.hostConfig.VolumeDriver ?? "";
  const volume = await input.volumes.createAnonymous({ driver, options: {}, labels: {} });
  const mode = { readOnly: false, propagation: "", noCopy: false };
  const point = volumePoint({
    name: volume.name,
    source: volume.mountpoint,
    destination,
    mode,
    text: "",
    anonymous: true,
  });
  return { ...point, Mode: "" };
}

function tmpfsPoint(destination: string, optionText: string): MountPoint {
  const defaults = ["noexec", "nosuid", "nodev"];
  const given = optionText.split(",").filter((option) => option !== "");
  const opposite: Record<string, string> = { exec: "noexec", suid: "nosuid", dev: "nodev" };
  const kept = defaults.filter((option) => !given.some((one) => opposite[one] === option || one === option));
  return {
    Type: "tmpfs",
    Name: "",
    Source: "",
    Destination: destination,
    Driver: "",
    Mode: optionText,
    RW: !given.includes("ro"),
    Propagation: "",
    options: [...kept, ...given],
    anonymous: false,
    copyUp: false,
    fromMounts: false,
  };
}

function tmpfsOptions(mount: MountRequest, readOnly: boolean): string {
  const options: string[] = [];
  if (readOnly) options.push("ro");
  const { SizeBytes = 0, Mode = 0 } = mount.TmpfsOptions ?? {};
  if (Mode !== 0) options.push(`mode=${Mode.toString(8)}`);
  if (SizeBytes !== 0) options.push(`size=${SizeBytes}`);
  for (const pair of mount.TmpfsOptions?.Options ?? []) options.push(pair.join("="));
  return options.join(",");
}

function checkDestination(path: string, text: string): string {
  if (!path.startsWith("/")) {
    throw new Failure(
      "invalid_argument",
      `invalid volume specification: '${text}': invalid mount config for type "volume": ` +
        `invalid mount path: '${path}' mount path must be absolute`,
    );
  }
  const clean = posix.normalize(path).replace(/(.)\/$/, "$1");
  if (clean === "/") {
    throw new Failure(
      "invalid_argument",
      `invalid volume specification: '${text}': invalid mount config for type "volume": ` +
        "invalid specification: destination can't be '/'",
    );
  }
  return clean;
}

/** Shallow places first, so that a mount inside another one is made after it. */
export function byDepth(a: { destination: string }, b: { destination: string }): number {
  return a.destination.split("/").length - b.destination.split("/").length;
}

/** A bind source that vanished since create is a start failure with the runtime's kind of words. */
export function checkSources(points: readonly MountPoint[]): void {
  for (const point of points) {
    if (point.Type !== "bind" || lstatSync(point.Source, { throwIfNoEntry: false }) !== undefined) continue;
    if (point.fromMounts) {
      throw new Failure(
        "invalid_argument",
        `invalid mount config for type "bind": bind source path does not exist: ${point.Source}`,
      );
    }
    mkdirSync(point.Source, { recursive: true, mode: 0o755 });
  }
}
