// The flags that checkpoint and restore share, and what they become.

import { Failure } from "../../../base/errors.ts";
import type { CheckpointSettings, PageServer } from "../../../container/checkpoint/settings.ts";
import { S_IFDIR, S_IFMT, stat } from "../../../linux/fd.ts";
import { effectiveUser } from "../../../linux/process.ts";
import { absolute, type Context, type Line } from "../command.ts";

const DEFAULT_IMAGES = "checkpoint";
const NETWORK = "network";

export function criuFlags({ flags }: Line, images: string) {
  return {
    imagePath: flags.string("image-path", "", images),
    workPath: flags.string("work-path", "", "path for saving work files and logs"),
    tcpEstablished: flags.bool("tcp-established", "", "allow open tcp connections"),
    externalUnixSockets: flags.bool("ext-unix-sk", "", "allow external unix sockets"),
    shellJob: flags.bool("shell-job", "", "allow shell jobs"),
    fileLocks: flags.bool("file-locks", "", "handle file locks, for safety"),
    cgroupsMode: flags.string("manage-cgroups-mode", "", "cgroups mode: soft|full|strict|ignore (default: soft)"),
    emptyNamespaces: flags.list("empty-ns", "", "create a namespace, but don't restore its properties"),
    autoDedup: flags.bool("auto-dedup", "", "enable auto deduplication of memory images"),
    lazyPages: flags.bool("lazy-pages", "", "use userfaultfd to lazily restore memory pages"),
  };
}

export type CriuFlags = ReturnType<typeof criuFlags>;

/** What both have; the rest as if not asked for. */
export function settingsFrom(given: CriuFlags): CheckpointSettings {
  for (const name of given.emptyNamespaces.value) {
    // A network namespace is always restored empty: its interfaces are not the runtime's.
    if (name !== NETWORK) {
      throw new Failure("invalid_argument", `namespace ${JSON.stringify(name)} is not supported`);
    }
  }
  const path = (value: string) => (value === "" ? "" : absolute(value));
  return {
    imagePath: path(given.imagePath.value || DEFAULT_IMAGES),
    workPath: path(given.workPath.value),
    parentPath: "",
    leaveRunning: false,
    tcpEstablished: given.tcpEstablished.value,
    tcpSkipInFlight: false,
    linkRemap: false,
    externalUnixSockets: given.externalUnixSockets.value,
    shellJob: given.shellJob.value,
    fileLocks: given.fileLocks.value,
    preDump: false,
    autoDedup: given.autoDedup.value,
    lazyPages: given.lazyPages.value,
    statusFd: -1,
    pageServer: null,
    cgroupsMode: given.cgroupsMode.value,
    lsmProfile: "",
    lsmMountContext: "",
  };
}

/** Relative to the image path, where criu makes a link of it. */
export function parentPathOf(imagePath: string, parent: string): string {
  if (parent === "") return "";
  if (parent.startsWith("/")) throw new Failure("invalid_argument", "--parent-path must be relative");
  const place = absolute(`${imagePath}/${parent}`);
  const found = stat(place);
  if (found === null) {
    throw new Failure("not_found", `invalid --parent-path: stat ${place}: no such file or directory`);
  }
  if ((found.mode & S_IFMT) !== S_IFDIR) {
    throw new Failure("invalid_argument", `invalid --parent-path: ${place}: not a directory`);
  }
  return parent;
}

export function pageServerOf(text: string): PageServer | null {
  if (text === "") return null;
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(.+)$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  if (address === undefined || port === undefined) {
    throw new Failure("invalid_argument", "Use --page-server ADDRESS:PORT to specify page server");
  }
  if (!/^[+-]?\d+$/.test(port)) throw new Failure("invalid_argument", "Invalid port number");
  return { address, port: Number(port) };
}

/** criu asks for root's rights; that it fails without them is its own matter to say. */
export function warnRootless({ log }: Context): void {
  if (effectiveUser() !== 0) log.warn("runc checkpoint is untested with rootless containers");
}
