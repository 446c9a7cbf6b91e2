// The two calls that stand before a start: attach, whose answer is a stream, and wait, whose head says that the daemon
// is watching and whose body says how the container ended.

import type { ContainerInspect, WaitResponse } from "../../../../api/engine/container.ts";
import { decodeUtf8 } from "../../../../base/bytes.ts";
import { parseJson } from "../../../../base/json.ts";
import type { ByteStream } from "../../../../base/runtime.ts";
import { readWhole } from "../../../../wire/http/body.ts";
import type { Cli } from "../../cli.ts";
import { ExitStatus } from "../../failure.ts";
import { pathSegment } from "../../reference.ts";

const MAX_WAIT_BYTES = 64 * 1024;

export interface AttachStreams {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  detachKeys: string;
}

export async function attachTo(cli: Cli, id: string, streams: AttachStreams): Promise<ByteStream> {
  const on = (wanted: boolean) => (wanted ? 1 : null);
  const response = await cli.engine.upgrade(`/containers/${pathSegment(id)}/attach`, {
    query: {
      detachKeys: streams.detachKeys || null,
      stderr: on(streams.stderr),
      stdin: on(streams.stdin),
      stdout: on(streams.stdout),
      stream: 1,
    },
  });
  return response.stream;
}

export interface ContainerEnd {
  /** The exit code. */
  status(): Promise<number>;
  close(): void;
}

/** Resolves when the daemon has begun to watch. */
export async function waitForEnd(
  cli: Cli,
  id: string,
  condition: "next-exit" | "removed" | null,
): Promise<ContainerEnd> {
  const response = await cli.engine.open("POST", `/containers/${pathSegment(id)}/wait`, { query: { condition } });
  return {
    close: () => response.close(),
    async status() {
      const answer = parseJson(decodeUtf8(await readWhole(response.body, MAX_WAIT_BYTES))) as unknown as WaitResponse;
      const words = answer.Error?.Message ?? "";
      if (words !== "") throw new ExitStatus(125, `Error waiting for container: ${words}`);
      return answer.StatusCode;
    },
  };
}

export function inspectContainer(cli: Cli, name: string): Promise<ContainerInspect> {
  return cli.engine.get<ContainerInspect>(`/containers/${pathSegment(name)}/json`);
}
