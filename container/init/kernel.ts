// Stages that set what the kernel keeps per namespace: names, sysctls.

import { Failure } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { must, SyscallFailure } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import { openPlain } from "../../linux/mount.ts";
import * as nr from "../../linux/numbers.ts";
import type { Birth } from "./birth.ts";

export function setNames({ plan }: Birth): void {
  const { hostname, domainname } = plan.spec;
  const set = (call: string, number: number, name: string) => {
    if (name === "") return;
    const bytes = door().encode(name);
    must(call, name, door().syscall(number, bytes, bytes.length));
  };
  set("sethostname", nr.SYS_sethostname, hostname);
  set("setdomainname", nr.SYS_setdomainname, domainname);
}

/** Through our own procfs: a path under the container's /proc could lead elsewhere. */
export function setSysctls(birth: Birth): void {
  for (const [name, value] of Object.entries(birth.plan.linux.sysctl)) {
    // Either separator may be used; the other one is then part of a name (an interface such as eth0.1).
    const slashes = name.includes("/") && !/^[^/]*\./.test(name);
    const path = slashes ? name : name.replace(/[./]/g, (mark) => (mark === "." ? "/" : "."));
    if (path.split("/").includes("..")) throw new Failure("invalid_argument", `sysctl ${name} is no valid name`);
    try {
      using file = openPlain(birth.proc(), `sys/${path}`, fs.O_WRONLY);
      fs.writeAll(file.number, door().encode(value));
    } catch (thrown) {
      if (!(thrown instanceof SyscallFailure)) throw thrown;
      throw new SyscallFailure(thrown.call, thrown.errno, `/proc/sys/${path}`);
    }
  }
}
