// What all parts of one serving shim share, and the tasks it holds (one, or those of a pod).

import type { QuickJsRuntime } from "../../runtime/quickjs/runtime.ts";
import type { Publisher } from "./call/events.ts";
import type { TaskDefaults } from "./command-line.ts";
import type { Container } from "./container.ts";
import type { Log } from "./log.ts";
import type { Reaper } from "./reaper.ts";
import type { Sandbox } from "./sandbox.ts";
import type { IoParts } from "./stdio/io.ts";

export interface Shim {
  readonly runtime: QuickJsRuntime;
  readonly namespace: string;
  readonly reaper: Reaper;
  readonly events: Publisher;
  readonly log: Log;
  readonly ioParts: IoParts;
  readonly defaults: TaskDefaults;
  /** The path of the socket that it serves; "" when it was given one without. */
  readonly socket: string;
  readonly containers: Map<string, Container>;
  /** For a daemon whose sandboxer is the shim. */
  sandbox: Sandbox | null;
  /** Ends the program once its last words are out. */
  shutdown(): void;
}
