// Mounts whose owners are seen through the mappings of a user namespace (options uidmap and gidmap): a container's root
// in its own user namespace, without a copy of the layers with other owners.

import { Failure } from "../../base/errors.ts";
import { idmapNamespace } from "../../container/init/idmap.ts";
import * as fd from "../../linux/fd.ts";
import * as m from "../../linux/mount.ts";

interface Mapping {
  containerID: number;
  hostID: number;
  size: number;
}

/** Puts a mapped copy of what is mounted at `source` over `target`. */
export function mountMapped(
  source: string,
  target: string,
  how: { uids: string; gids: string; readOnly?: boolean },
): void {
  using proc = fd.open("/proc", fd.O_PATH | fd.O_DIRECTORY);
  const maps = { uids: parseMappings(how.uids), gids: parseMappings(how.gids) };
  using namespace = idmapNamespace(proc.number, maps);
  using tree = m.cloneTree(fd.AT_FDCWD, source, true);
  const readOnly = how.readOnly === true ? m.MOUNT_ATTR_RDONLY : 0;
  m.changeMount(tree.number, {
    set: m.MOUNT_ATTR_IDMAP | readOnly,
    propagation: m.MS_PRIVATE,
    userNamespace: namespace.number,
    recursive: true,
  });
  using at = fd.open(target, fd.O_PATH);
  m.attach(tree.number, at.number);
}

/** "0:100000:65536,…" */
function parseMappings(text: string): Mapping[] {
  return text.split(",").map((one) => {
    const match = /^(\d+):(\d+):(\d+)$/.exec(one);
    const [containerID, hostID, size] = (match?.slice(1) ?? []).map(Number);
    if (containerID === undefined || hostID === undefined || size === undefined) {
      throw new Failure("invalid_argument", `the id mapping ${one} is not container-id:host-id:size`);
    }
    return { containerID, hostID, size };
  });
}

/** An overlay cannot be mapped as a whole; its lower layers can, all through one mapped view of the directory they have
 *  in common. `mount` is given the options with the layers' other paths; the view is gone when it returns. */
export function withMappedLayers(
  data: readonly string[],
  how: { uids: string; gids: string; place: string },
  mount: (data: string[]) => void,
): void {
  const lower = data.find((option) => option.startsWith("lowerdir="));
  const layers = lower?.slice("lowerdir=".length).split(":") ?? [];
  const common = commonDirectory(layers);
  if (lower === undefined || common.length < 2) {
    throw new Failure("invalid_argument", "the layers of an id-mapped overlay have no directory in common");
  }
  fd.makeDirectories(how.place, 0o700);
  try {
    mountMapped(common, how.place, { ...how, readOnly: true });
    try {
      const mapped = layers.map((layer) => `${how.place}/${layer.slice(common.length)}`);
      mount(data.map((option) => (option === lower ? `lowerdir=${mapped.join(":")}` : option)));
    } finally {
      m.unmount(how.place, m.MNT_DETACH);
    }
  } finally {
    fd.removeDirectory(how.place);
  }
}

/** With its slash at the end; "" when there is none. */
export function commonDirectory(paths: readonly string[]): string {
  let common = paths[0] ?? "";
  for (const path of paths) while (!path.startsWith(common)) common = common.slice(0, -1);
  return common.slice(0, common.lastIndexOf("/") + 1);
}
