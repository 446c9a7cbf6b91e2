// What docker-net remembers over its own death, one small file per bridge and per endpoint:
//
//     STATE/bridges/NAME.json
//     STATE/endpoints/ID.attaching ──rename, when all of it exists──▶ ID.json
//     STATE/netns/ID                                                   (an nsfs mount)
//     STATE/lock
//
// An endpoint's file is written before anything of it exists in the kernel, so that whatever a crash leaves behind can
// be found and undone. Nothing is synced to disk: what the files describe does not survive the machine either.

import { Failure } from "../../base/errors.ts";
import { formatJson, parseJson } from "../../base/json.ts";
import { door } from "../../linux/door.ts";
import { EAGAIN, must } from "../../linux/errno.ts";
import * as fd from "../../linux/fd.ts";
import * as nr from "../../linux/numbers.ts";

const LOCK_EX_NB = 2 | 4;
/** Bytes of one record: 10,000 ports need less. */
const RECORD_LIMIT = 2 << 20;

export interface BridgeRecord {
  name: string;
  subnet: string;
  gateway: string;
  mtu: number;
  isolated: boolean;
  /** We made the interface, and remove it at Shutdown. */
  made: boolean;
  /** We turned forwarding on: the interfaces that were there then, between which nothing was forwarded until now. */
  outside: string[];
}

export interface PortRecord {
  protocol: "tcp" | "udp";
  containerPort: number;
  hostIp: string;
  hostPort: number;
}

export interface EndpointRecord {
  containerId: string;
  bridge: string;
  address: string;
  mac: string;
  /** The host's end of the pair. */
  interface: string;
  ports: PortRecord[];
}

export class Records {
  readonly #root: string;
  readonly #lock: fd.Fd;

  /** Throws when another docker-net holds the directory. */
  constructor(root: string) {
    this.#root = root;
    for (const folder of ["", "/bridges", "/endpoints", "/netns"]) fd.makeDirectories(`${root}${folder}`, 0o700);
    this.#lock = fd.open(`${root}/lock`, fd.O_RDWR | fd.O_CREAT, 0o600);
    const result = door().syscall(nr.SYS_flock, this.#lock.number, LOCK_EX_NB);
    if (result === -EAGAIN) {
      throw new Failure("failed_precondition", `${root} is in use by another docker-net`);
    }
    must("flock", `${root}/lock`, result);
  }

  namespacePath(containerId: string): string {
    return `${this.#root}/netns/${containerId}`;
  }

  /** Names of all namespaces that are held. */
  namespaces(): string[] {
    return fd.listDirectory(`${this.#root}/netns`).map((entry) => entry.name);
  }

  bridges(): BridgeRecord[] {
    // `outside` came later than the first records.
    return this.#read<BridgeRecord>("bridges", ".json").map((record) => ({ ...record, outside: record.outside ?? [] }));
  }

  saveBridge(record: BridgeRecord): void {
    fd.replaceFile(`${this.#root}/bridges/${record.name}.json`, formatJson(record));
  }

  removeBridge(name: string): void {
    fd.unlinkIfThere(`${this.#root}/bridges/${name}.json`);
  }

  endpoints(): EndpointRecord[] {
    return this.#read<EndpointRecord>("endpoints", ".json");
  }

  /** Those whose Attach was never answered. */
  unfinished(): EndpointRecord[] {
    return this.#read<EndpointRecord>("endpoints", ".attaching");
  }

  begin(record: EndpointRecord): void {
    fd.writeFile(this.#endpoint(record.containerId, "attaching"), formatJson(record), 0o600);
  }

  finish(containerId: string): void {
    fd.rename(this.#endpoint(containerId, "attaching"), this.#endpoint(containerId, "json"));
  }

  removeEndpoint(containerId: string): void {
    fd.unlinkIfThere(this.#endpoint(containerId, "attaching"));
    fd.unlinkIfThere(this.#endpoint(containerId, "json"));
  }

  #endpoint(containerId: string, suffix: string): string {
    return `${this.#root}/endpoints/${containerId}.${suffix}`;
  }

  /** A file that is not whole (a crash while it was written) describes nothing that exists: it is removed. */
  #read<T>(folder: string, suffix: string): T[] {
    const records: T[] = [];
    for (const { name } of fd.listDirectory(`${this.#root}/${folder}`)) {
      if (!name.endsWith(suffix)) continue;
      const path = `${this.#root}/${folder}/${name}`;
      try {
        records.push(parseJson(fd.readText(path, RECORD_LIMIT)) as unknown as T);
      } catch {
        fd.unlinkIfThere(path);
      }
    }
    return records;
  }
}
