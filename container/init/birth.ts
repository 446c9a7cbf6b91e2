// What the stages of a new container process share: the plan, the descriptors they hand on, and how they reach the
// parent. Made by the parent before the clone; from then on the child's copy is the one that changes.

import { Failure } from "../../base/errors.ts";
import { EPERM, errnoOf } from "../../linux/errno.ts";
import { AT_FDCWD, type Fd } from "../../linux/fd.ts";
import { cloneTree, filesystemType, openOwnProc, PROC_SUPER_MAGIC } from "../../linux/mount.ts";
import type { NamespaceKind } from "../../linux/namespace.ts";
import { type ChildMessage, say } from "../messages.ts";
import type { Plan } from "../plan.ts";

export class Birth {
  readonly plan: Plan;
  /** The child's end of the dialogue. */
  readonly dialogue: number;
  /** v1 `tasks` files to join through; null when the cgroups are made meanwhile and the parent says so. */
  readonly tasks: readonly Fd[] | null;
  /** Namespaces to join, opened by the parent. */
  readonly joins: ReadonlyMap<NamespaceKind, Fd>;
  /** exec.fifo as O_PATH; null when the program is to run at once. */
  readonly fifo: number | null;
  /** Where the pseudo-terminal's master goes; null without a terminal. */
  readonly console: number | null;
  /** Whether the parent wants to hear of each stage. */
  readonly wantsDebug: boolean;
  /** Whether a helper stood between parent and child, and joined the namespaces. */
  readonly helped: boolean;
  /** The cgroup directories, for the mount of type cgroup. */
  readonly cgroupPaths: Readonly<Record<string, string>>;

  /** The new root, as an attached mount. Set by the root stage. */
  root: Fd = NOT_YET as Fd;
  joined = false;
  /** The container's devpts, from which its console comes. */
  devpts: Fd | null = null;
  /** Mounts that become read-only once they are filled. */
  readonly readOnlyLater: Fd[] = [];
  #proc: Fd | null = null;

  constructor(parts: BirthParts) {
    this.plan = parts.plan;
    this.dialogue = parts.dialogue;
    this.tasks = parts.tasks;
    this.joins = parts.joins;
    this.fifo = parts.fifo;
    this.console = parts.console;
    this.wantsDebug = parts.wantsDebug;
    this.helped = parts.helped;
    this.cgroupPaths = parts.cgroupPaths;
  }

  tell(message: ChildMessage): void {
    say(this.dialogue, message);
  }

  /** The words are the original's: people and tools look for them in its log. */
  debug(message: string): void {
    if (this.wantsDebug) this.tell({ kind: "debug", message });
  }

  /** For a pid namespace that another user namespace owns, whose procfs may not be mounted again: the host's own
   *  is kept as it is there, while its paths are still seen. */
  keepProc(): void {
    const foreign = !this.isNew("pid") && (this.plan.namespaces.has("user") || this.plan.rootless.cgroups);
    if (!foreign) return;
    try {
      this.#proc = openOwnProc();
    } catch (thrown) {
      if (errnoOf(thrown) !== EPERM) throw thrown;
      this.#proc = cloneTree(AT_FDCWD, "/proc", true);
      if (filesystemType(this.#proc.number) === PROC_SUPER_MAGIC) return;
      throw new Failure("failed_precondition", "/proc of the host is not a procfs", { cause: thrown });
    }
  }

  /** A procfs that nobody else sees or mounts over, made when first needed; after the pid namespace is final. */
  proc(): number {
    this.#proc ??= openOwnProc();
    return this.#proc.number;
  }

  /** A namespace that the container has to itself, made new. */
  isNew(kind: NamespaceKind): boolean {
    return this.plan.namespaces.get(kind) === "";
  }
}

type BirthParts = Pick<
  Birth,
  "plan" | "dialogue" | "tasks" | "joins" | "fifo" | "console" | "wantsDebug" | "helped" | "cgroupPaths"
>;

const NOT_YET: unknown = null;
