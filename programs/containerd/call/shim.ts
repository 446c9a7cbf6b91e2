// The connection to one shim: its task service (v2 and v3 have the same messages) over ttrpc.

import { Task as TaskV2 } from "../../../api/task/gen/task_v2.ts";
import { Task as TaskV3 } from "../../../api/task/gen/task_v3.ts";
import { Failure } from "../../../base/errors.ts";
import { nodeClock } from "../../../runtime/node/runtime.ts";
import { connectUnix } from "../../../runtime/node/socket.ts";
import type { ClientOf } from "../../../wire/call.ts";
import { TtrpcClient } from "../../../wire/ttrpc/client.ts";
import { NAMESPACE_HEADER } from "../../../wire/ttrpc/metadata.ts";
import type { ShimAddress } from "../tasks/bundle.ts";

export type TaskCalls = ClientOf<typeof TaskV3>;

export class ShimConnection {
  readonly task: TaskCalls;
  /** Resolves when the connection ended, from either side. */
  readonly closed: Promise<void>;
  private readonly client: TtrpcClient;

  private constructor(client: TtrpcClient, version: number) {
    this.client = client;
    this.closed = client.closed;
    this.task = version >= 3 ? client.of(TaskV3) : (client.of(TaskV2) as unknown as TaskCalls);
  }

  /** Throws "unavailable" when nobody listens there. */
  static async open(address: ShimAddress, namespace: string): Promise<ShimConnection> {
    if (!address.address.startsWith("unix://")) {
      throw new Failure("unimplemented", `shim address ${address.address} is no unix socket`);
    }
    const stream = await connectUnix(address.address.slice("unix://".length));
    const client = new TtrpcClient(stream, { clock: nodeClock, headers: { [NAMESPACE_HEADER]: namespace } });
    return new ShimConnection(client, address.version);
  }

  close(): void {
    this.client.close();
  }
}
