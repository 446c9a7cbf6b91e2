// --mount: one comma-separated record per mount. Words of complaints are the original's.

import type { Mount } from "../../../api/engine/container.ts";
import { BadValue, parseGoBool } from "../../../base/flags/go.ts";
import { splitCommas } from "../../../base/flags/values.ts";
import { parseMemory } from "../format/units.ts";

export function parseMount(text: string): Mount {
  const fields = splitCommas(text);
  if (fields.length === 1 && fields[0] === "") throw new BadValue("value is empty");
  const mount: Mount = { Type: "volume", Target: "" };
  for (const field of fields) applyField(mount, field);
  if (mount.Target === "") throw new BadValue("target is required");
  checkConsistent(mount);
  return mount;
}

function applyField(mount: Mount, field: string): void {
  const equals = field.indexOf("=");
  const key = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
  if (equals < 0) {
    if (key === "readonly" || key === "ro") {
      mount.ReadOnly = true;
      return;
    }
    if (key === "volume-nocopy") {
      volume(mount).NoCopy = true;
      return;
    }
    if (key === "bind-nonrecursive") {
      bind(mount).NonRecursive = true;
      return;
    }
    if (key === "bind-create-src") {
      bind(mount).CreateMountpoint = true;
      return;
    }
    throw new BadValue(`invalid field '${field}' must be a key=value pair`);
  }
  applyValue(mount, key, field.slice(equals + 1));
}

type Setter = (mount: Mount, value: string) => void;

const SETTERS: Readonly<Record<string, Setter>> = {
  type: (mount, value) => {
    mount.Type = value.toLowerCase() as Mount["Type"];
  },
  source: setSource,
  src: setSource,
  target: setTarget,
  dst: setTarget,
  destination: setTarget,
  readonly: setReadOnly,
  ro: setReadOnly,
  consistency: (mount, value) => {
    mount.Consistency = value.toLowerCase();
  },
  "bind-propagation": (mount, value) => {
    bind(mount).Propagation = value.toLowerCase();
  },
  "bind-nonrecursive": (mount, value) => {
    bind(mount).NonRecursive = boolean("bind-nonrecursive", value);
  },
  "bind-create-src": (mount, value) => {
    bind(mount).CreateMountpoint = boolean("bind-create-src", value);
  },
  "bind-recursive": setRecursive,
  "volume-subpath": (mount, value) => {
    volume(mount).Subpath = value;
  },
  "volume-nocopy": (mount, value) => {
    try {
      volume(mount).NoCopy = parseGoBool(value);
    } catch {
      throw new BadValue(`invalid value for volume-nocopy: ${value}`);
    }
  },
  "volume-label": (mount, value) => {
    addPair((volume(mount).Labels ??= {}), value);
  },
  "volume-driver": (mount, value) => {
    (volume(mount).DriverConfig ??= {}).Name = value;
  },
  "volume-opt": (mount, value) => {
    addPair(((volume(mount).DriverConfig ??= {}).Options ??= {}), value);
  },
  "image-subpath": (mount, value) => {
    mount.ImageOptions = { Subpath: value };
  },
  "tmpfs-size": (mount, value) => {
    try {
      (mount.TmpfsOptions ??= {}).SizeBytes = parseMemory(value);
    } catch {
      throw new BadValue(`invalid value for tmpfs-size: ${value}`);
    }
  },
  "tmpfs-mode": (mount, value) => {
    if (!/^[0-7]+$/.test(value)) throw new BadValue(`invalid value for tmpfs-mode: ${value}`);
    (mount.TmpfsOptions ??= {}).Mode = Number.parseInt(value, 8);
  },
};

function applyValue(mount: Mount, key: string, value: string): void {
  const setter = Object.hasOwn(SETTERS, key) ? SETTERS[key] : undefined;
  if (setter === undefined) throw new BadValue(`unexpected key '${key}' in '${key}=${value}'`);
  setter(mount, value);
}

function setSource(mount: Mount, value: string): void {
  mount.Source = value;
}

function setTarget(mount: Mount, value: string): void {
  mount.Target = value;
}

function setReadOnly(mount: Mount, value: string): void {
  mount.ReadOnly = boolean("readonly", value);
}

function setRecursive(mount: Mount, value: string): void {
  if (value === "enabled") return;
  if (value === "disabled") bind(mount).NonRecursive = true;
  else if (value === "writable") bind(mount).ReadOnlyNonRecursive = true;
  else if (value === "readonly") bind(mount).ReadOnlyForceRecursive = true;
  else {
    throw new BadValue(
      `invalid value for bind-recursive: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
    );
  }
}

function boolean(key: string, value: string): boolean {
  try {
    return parseGoBool(value);
  } catch {
    throw new BadValue(`invalid value for ${key}: ${value}`);
  }
}

function addPair(map: Record<string, string>, pair: string): void {
  const equals = pair.indexOf("=");
  if (equals < 0) map[pair] = "";
  else map[pair.slice(0, equals)] = pair.slice(equals + 1);
}

function bind(mount: Mount): NonNullable<Mount["BindOptions"]> {
  return (mount.BindOptions ??= {});
}

function volume(mount: Mount): NonNullable<Mount["VolumeOptions"]> {
  return (mount.VolumeOptions ??= { DriverConfig: {} });
}

function checkConsistent(mount: Mount): void {
  const groups = [
    [mount.VolumeOptions, "volume", "volume-*"],
    [mount.BindOptions, "bind", "bind-*"],
    [mount.TmpfsOptions, "tmpfs", "tmpfs-*"],
    [mount.ImageOptions, "image", "image-*"],
  ] as const;
  for (const [options, type, names] of groups) {
    if (options !== undefined && mount.Type !== type) {
      throw new BadValue(`cannot mix '${names}' options with mount type '${mount.Type}'`);
    }
  }
}
