// The content store of a containerd elsewhere, over gRPC; and its records as messages.
//
// A writer is one Write stream in lock step: STAT opens it, each WRITE and the COMMIT get an answer.

import * as api from "../../api/containerd/gen/content.ts";
import type { Bytes } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import type { ClientOf, Headers } from "../../wire/call.ts";
import { Feed } from "../../wire/feed.ts";
import type { GrpcClient } from "../../wire/grpc/client.ts";
import { maskToMessage, required, timeFromMessage, timeToMessage } from "../messages.ts";
import type { CommitOptions, ContentInfo, ContentStore, ContentWriter, IngestStatus } from "./content.ts";

const WRITE_PIECE = 1 << 20; // bytes of one WRITE message

export function remoteContent(client: GrpcClient, headers: Headers): ContentStore {
  const calls = client.of(api.Content, headers);
  return {
    info: async (digest) => infoFromMessage((await calls.info({ digest })).info),
    list: async (filters) => {
      const all: ContentInfo[] = [];
      for await (const page of calls.list({ filters: [...filters] })) all.push(...page.info.map(infoFromMessage));
      return all;
    },
    update: async ({ digest, labels }, fields) => {
      const info = { digest, labels: { ...labels }, size: 0n, createdAt: null, updatedAt: null };
      return infoFromMessage((await calls.update({ info, updateMask: maskToMessage(fields) })).info);
    },
    delete: async (digest) => void (await calls.delete({ digest })),
    read: (digest, range) => readRemote(calls, digest, range ?? { offset: 0, size: null }),
    status: async (ref) => statusFromMessage((await calls.status({ ref })).status),
    statuses: async (filters) => {
      return (await calls.listStatuses({ filters: [...filters] })).statuses.map(statusFromMessage);
    },
    writer: (ref, expected) => RemoteWriter.open(calls, ref, expected),
    abort: async (ref) => void (await calls.abort({ ref })),
  };
}

async function* readRemote(
  calls: ClientOf<typeof api.Content>,
  digest: string,
  range: { offset: number; size: number | null },
): AsyncIterable<Bytes> {
  // On the wire a size of 0 means "to the end".
  if (range.size === 0) return;
  const request = { digest, offset: BigInt(range.offset), size: BigInt(range.size ?? 0) };
  for await (const { data } of calls.read(request)) yield data as Bytes;
}

class RemoteWriter implements ContentWriter {
  status: IngestStatus;
  private readonly requests: Feed<Partial<api.WriteContentRequest>>;
  private readonly answers: AsyncIterator<api.WriteContentResponse>;
  private closed = false;

  private constructor(parts: {
    requests: Feed<Partial<api.WriteContentRequest>>;
    answers: AsyncIterator<api.WriteContentResponse>;
    status: IngestStatus;
  }) {
    this.requests = parts.requests;
    this.answers = parts.answers;
    this.status = parts.status;
  }

  static async open(
    calls: ClientOf<typeof api.Content>,
    ref: string,
    expected: { size: number; digest: string },
  ): Promise<RemoteWriter> {
    const requests = new Feed<Partial<api.WriteContentRequest>>();
    const answers = calls.write(requests)[Symbol.asyncIterator]();
    const writer = new RemoteWriter({ requests, answers, status: { ...NOTHING, ref, expected: expected.digest } });
    await writer.exchange({
      action: api.WriteAction.STAT,
      ref,
      total: BigInt(expected.size),
      expected: expected.digest,
    });
    return writer;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += WRITE_PIECE) {
      const data = bytes.subarray(at, at + WRITE_PIECE);
      await this.exchange({ action: api.WriteAction.WRITE, offset: BigInt(this.status.offset), data });
    }
  }

  async reset(): Promise<void> {
    this.status = { ...this.status, offset: 0 };
  }

  async commit(options: CommitOptions): Promise<string> {
    const answer = await this.exchange({
      action: api.WriteAction.COMMIT,
      offset: BigInt(this.status.offset),
      total: BigInt(options.size),
      expected: options.digest,
      labels: { ...options.labels },
    });
    await this.close();
    return answer.digest;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.requests.end();
    // The last answer is the end of the stream; a failure of it was told to whoever waited for an answer before.
    await this.answers.next().catch(() => {});
  }

  private async exchange(request: Partial<api.WriteContentRequest>): Promise<api.WriteContentResponse> {
    if (this.closed) throw new Failure("failed_precondition", "the content writer is closed");
    // A failed stream ends the feed; its reason comes with the answer.
    await this.requests.send(request).catch(() => {});
    const answer = await this.answers.next();
    if (answer.done === true) throw new Failure("unavailable", "the content stream ended early");
    this.status = {
      ...this.status,
      offset: Number(answer.value.offset),
      total: Number(answer.value.total),
      startedAt: timeFromMessage(answer.value.startedAt),
      updatedAt: timeFromMessage(answer.value.updatedAt),
    };
    return answer.value;
  }
}

const NOTHING: IngestStatus = { ref: "", offset: 0, total: 0, expected: "", startedAt: 0, updatedAt: 0 };

export function infoFromMessage(message: api.Info | null): ContentInfo {
  const { digest, size, labels, createdAt, updatedAt } = required(message, "content info");
  const times = { createdAt: timeFromMessage(createdAt), updatedAt: timeFromMessage(updatedAt) };
  return { digest, size: Number(size), labels, ...times };
}

export function infoToMessage(info: ContentInfo): api.Info {
  return {
    digest: info.digest,
    size: BigInt(info.size),
    labels: { ...info.labels },
    createdAt: timeToMessage(info.createdAt),
    updatedAt: timeToMessage(info.updatedAt),
  };
}

function statusFromMessage(message: api.Status | null): IngestStatus {
  const { ref, offset, total, expected, startedAt, updatedAt } = required(message, "ingest status");
  const times = { startedAt: timeFromMessage(startedAt), updatedAt: timeFromMessage(updatedAt) };
  return { ref, expected, offset: Number(offset), total: Number(total), ...times };
}

export function statusToMessage(status: IngestStatus): api.Status {
  return {
    ref: status.ref,
    expected: status.expected,
    offset: BigInt(status.offset),
    total: BigInt(status.total),
    startedAt: timeToMessage(status.startedAt),
    updatedAt: timeToMessage(status.updatedAt),
  };
}
