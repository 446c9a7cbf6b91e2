// A file as a block device, for snapshotters that keep filesystems in files: a free loop device is found, given the
// file, mounted by the caller, and gone with the mount (autoclear), so that nobody has to remember it.

import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { EBUSY, errnoOf, must } from "../../linux/errno.ts";
import * as fd from "../../linux/fd.ts";
import { SYS_ioctl } from "../../linux/numbers.ts";
import { LOOP_ATTEMPTS } from "./limits.ts";

// include/uapi/linux/loop.h
const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
/** struct loop_config: fd, block size, struct loop_info64 (of it flags at 52, file name at 56), reserved words. */
const CONFIG_SIZE = 304;
const FLAGS_AT = 8 + 52;
const NAME_AT = 8 + 56;
const NAME_SIZE = 63;

export interface LoopDevice extends Disposable {
  path: string;
}

/** The device stays as long as it is open or mounted: dispose of it after the mount. */
export function attachLoop(file: string, how: { readOnly: boolean; direct: boolean }): LoopDevice {
  const mode = how.readOnly ? fd.O_RDONLY : fd.O_RDWR;
  using backing = fd.open(file, mode);
  for (let attempt = 0; attempt < LOOP_ATTEMPTS; attempt++) {
    const path = `/dev/loop${freeDevice()}`;
    const device = fd.open(path, mode);
    try {
      configure(device.number, path, loopConfig(backing.number, file, how));
      return { path, [Symbol.dispose]: () => device.close() };
    } catch (thrown) {
      device.close();
      // Somebody else was quicker with this one.
      if (errnoOf(thrown) !== EBUSY) throw thrown;
    }
  }
  throw new Failure("resource_exhausted", `no loop device could be had for ${file}`);
}

function freeDevice(): number {
  using control = fd.open("/dev/loop-control", fd.O_RDWR);
  return must("ioctl", "/dev/loop-control", door().syscall(SYS_ioctl, control.number, LOOP_CTL_GET_FREE, 0));
}

function loopConfig(backing: number, file: string, how: { readOnly: boolean; direct: boolean }) {
  const config = new Uint8Array(CONFIG_SIZE);
  const view = new DataView(config.buffer);
  view.setUint32(0, backing, true);
  const direct = how.direct ? LO_FLAGS_DIRECT_IO : 0;
  view.setUint32(FLAGS_AT, LO_FLAGS_AUTOCLEAR | direct | (how.readOnly ? LO_FLAGS_READ_ONLY : 0), true);
  config.set(door().encode(file).subarray(0, NAME_SIZE), NAME_AT);
  return config;
}

function configure(device: number, path: string, config: Uint8Array): void {
  must("ioctl", path, door().syscall(SYS_ioctl, device, LOOP_CONFIGURE, config));
}
