// linux.netDevices: interfaces of the host that move into the container's network namespace, by the parent, before the
// container's sysctls are set and its hooks run. A create that fails gives them back: with the namespace the kernel
// would destroy those that are not hardware.

import { Failure, messageOf } from "../base/errors.ts";
import { errnoSentence, SyscallFailure } from "../linux/errno.ts";
import { type Fd, O_RDONLY, open } from "../linux/fd.ts";
import { type DeviceAddress, DeviceSocket } from "../linux/netlink-device.ts";
import { within } from "../linux/netns.ts";
import type { Plan } from "./plan.ts";

interface Moved {
  name: string;
  /** In the container. */
  newName: string;
  wasUp: boolean;
  addresses: DeviceAddress[];
}

export class NetDevices implements Disposable {
  #home: Fd | null = null;
  #namespace: Fd | null = null;
  #path = "";
  readonly #moved: Moved[] = [];

  /** `pid` is in the container's network namespace, unless config.json names that by a path. */
  move({ linux, namespaces }: Plan, pid: number): void {
    const devices = Object.entries(linux.netDevices);
    if (devices.length === 0) return;
    this.#path = namespaces.get("network") || `/proc/${pid}/ns/net`;
    this.#home = open("/proc/self/ns/net", O_RDONLY);
    this.#namespace = open(this.#path, O_RDONLY);
    using here = new DeviceSocket();
    using there = within(this.#namespace, () => new DeviceSocket());
    for (const [name, device] of devices) {
      try {
        this.#moveOne({ name, newName: device.name === "" ? name : device.name }, here, there);
      } catch (thrown) {
        const reason = `move netDevice ${name} to namespace ${this.#path}: ${messageOf(thrown)}`;
        throw new Failure("failed_precondition", reason, { cause: thrown });
      }
    }
  }

  #moveOne({ name, newName }: { name: string; newName: string }, here: DeviceSocket, there: DeviceSocket): void {
    const found = here.find(name);
    if (found === null) {
      throw new Failure("not_found", `link not found for interface ${name} on runtime namespace: Link not found`);
    }
    const addresses = here.addresses(found.index).filter(isWorthMoving);
    // Down first, so that nothing on the host goes on with it while it leaves.
    worded("fail to set link down", () => here.setUp(found.index, false));
    const target = { namespace: this.#namespace!.number, name: newName };
    try {
      const where = `${name} to network namespace ${this.#path}`;
      worded(`fail to move network device ${where}`, () => here.move(found.index, target));
    } catch (thrown) {
      here.setUp(found.index, found.up);
      throw thrown;
    }
    this.#moved.push({ name, newName, wasUp: found.up, addresses });
    settle(there, { newName, addresses, up: true });
  }

  /** What can be given back is; the container's failure is what is told. */
  giveBack(): void {
    if (this.#moved.length === 0) return;
    using here = new DeviceSocket();
    using there = within(this.#namespace!, () => new DeviceSocket());
    for (const { name, newName, wasUp, addresses } of this.#moved.reverse()) {
      try {
        const found = there.find(newName);
        if (found === null) continue;
        there.setUp(found.index, false);
        there.move(found.index, { namespace: this.#home!.number, name });
        settle(here, { newName: name, addresses, up: wasUp });
      } catch {
        // The next may go better.
      }
    }
  }

  [Symbol.dispose](): void {
    this.#namespace?.close();
    this.#home?.close();
  }
}

/** Addresses that somebody gave and that mean the same elsewhere: not leases, not those of the link alone. */
function isWorthMoving({ permanent, scope }: DeviceAddress): boolean {
  return permanent && scope === 0;
}

/** The kernel took the addresses away with the move. */
function settle(socket: DeviceSocket, to: { newName: string; addresses: DeviceAddress[]; up: boolean }): void {
  const found = socket.find(to.newName);
  if (found === null) throw new Failure("not_found", `link not found for interface ${to.newName}: Link not found`);
  for (const address of to.addresses) {
    worded(`fail to set up address on ${to.newName}`, () => socket.addAddress(found.index, address));
  }
  if (to.up) worded(`fail to set up interface ${to.newName}`, () => socket.setUp(found.index, true));
}

function worded(what: string, work: () => void): void {
  try {
    work();
  } catch (thrown) {
    const reason = thrown instanceof SyscallFailure ? errnoSentence(thrown.errno) : messageOf(thrown);
    throw new Failure("failed_precondition", `${what}: ${reason}`, { cause: thrown });
  }
}
