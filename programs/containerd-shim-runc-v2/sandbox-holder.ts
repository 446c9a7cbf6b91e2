// The process that holds a sandbox's namespaces: a copy of the shim that does nothing else, in the place of a pause
// container and without an image. It outlives the shim, so that another one can take the sandbox over; but not before
// its maker has written down who it is:
//
//     shim ──clone──▶ holder: joins, names itself ─▶ READY ─▶ waits at `go` ──a byte─▶ holds, for good
//       ◀──READY──── record written ──a byte at `go`──▶          └──its end (the shim is gone)─▶ ends

import { messageOf } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import { must } from "../../linux/errno.ts";
import * as fd from "../../linux/fd.ts";
import { NAMESPACES, type NamespaceKind, setNamespace } from "../../linux/namespace.ts";
import { raiseLoopback } from "../../linux/network.ts";
import { SYS_sethostname } from "../../linux/numbers.ts";
import { clone, exit, newSession, pause, setName } from "../../linux/process.ts";
import { kill, resetSignals, SIGCHLD, SIGKILL, setDisposition } from "../../linux/signal.ts";
import { SANDBOX_REPORT_LIMIT } from "./limits.ts";

export interface Plan {
  /** Kind to the path of one to join; "" for a new one. */
  namespaces: Map<NamespaceKind, string>;
  hostname: string;
}

export interface Holder {
  pid: number;
  /** Owned by who asked: a byte lets the holder live, its end alone ends it. */
  go: fd.Fd;
}

const DAY = 86_400_000;
/** One byte that begins no sentence. */
const READY = 0;

/** Once it holds them. Throws Error with what the holder says is in the way; then there is none. */
export function hold(id: string, plan: Plan): Holder {
  let flags = 0;
  for (const [kind, path] of plan.namespaces) if (path === "") flags |= NAMESPACES[kind].flag;
  const [report, go] = [fd.pipe(), fd.pipe()];
  using answer = report.read;
  // 64 bits: the highest flag in use is the sign of a 32-bit number.
  const { pid } = clone({ flags: BigInt(flags >>> 0), cgroup: null, pidfd: false });
  if (pid === 0) beHolder(id, plan, { report: report.write, go: go.read });
  report.write.close();
  go.read.close();
  const said = fd.readAll(answer.number, SANDBOX_REPORT_LIMIT);
  if (said.length === 1 && said[0] === READY) return { pid, go: go.write };
  go.write.close();
  kill(pid, SIGKILL);
  throw new Error(door().decode(said));
}

export function letGo({ go }: Holder): void {
  fd.writeAll(go.number, Uint8Array.of(READY));
}

/** In the child, which is a copy of the shim: it keeps nothing of it open and never returns. */
function beHolder(id: string, { namespaces, hostname }: Plan, pipes: { report: fd.Fd; go: fd.Fd }): never {
  const { report, go } = pipes;
  try {
    // Not the other ends of its pipes either: an end that it held itself would never be told to it.
    fd.closeAllBut([report.number, go.number], 0);
    for (const [kind, path] of namespaces) if (path !== "") joinNamespace(kind, path);
    if (namespaces.get("network") === "") raiseLoopback();
    if (hostname !== "") {
      if (!namespaces.has("uts")) throw new Error("a host name without a uts namespace");
      must("sethostname", hostname, door().syscall(SYS_sethostname, hostname, door().encode(hostname).length));
    }
    resetSignals();
    // As the first process of a pid namespace it gets orphans: ignored, the kernel reaps them itself.
    setDisposition(SIGCHLD, "ignore");
    newSession();
    setName("sandbox");
    door().title(`sandbox ${id}`);
    fd.write(report.number, Uint8Array.of(READY));
    report.close();
    if (fd.read(go.number, new Uint8Array(1)) !== 1) exit(1);
    go.close();
    for (;;) pause(DAY);
  } catch (thrown) {
    fd.write(report.number, door().encode(messageOf(thrown)));
  } finally {
    // Also when nobody is there to be told: it must never go on as the shim that it is a copy of.
    exit(1);
  }
}

function joinNamespace(kind: NamespaceKind, path: string): void {
  // Joining a pid namespace counts for children only: the holder would stay outside.
  if (kind === "pid") throw new Error("a sandbox cannot join a pid namespace");
  using namespace = fd.open(path, fd.O_RDONLY);
  setNamespace(namespace.number, NAMESPACES[kind].flag, path);
}
