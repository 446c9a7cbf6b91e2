// The content service. A Write stream is a dialogue: each message is answered before the next is taken.
//
//     STAT ─▶ status      WRITE ─▶ offset after it      COMMIT ─▶ digest, and the end

import {
  type Content,
  WriteAction,
  type WriteContentRequest,
  type WriteContentResponse,
} from "../../../api/containerd/gen/content.ts";
import { Failure } from "../../../base/errors.ts";
import type { ContentStore, ContentWriter } from "../../../core/content/content.ts";
import { infoToMessage, statusToMessage } from "../../../core/content/remote.ts";
import type { Blobs } from "../../../core/content/store.ts";
import { fieldsFromMessage, required, timeToMessage } from "../../../core/messages.ts";
import type { HandlersOf } from "../../../wire/call.ts";
import { scopeOf } from "./scope.ts";

const LIST_PAGE = 100; // records of one List message
const READ_PIECE = 1 << 20; // bytes of one Read message

export function serveContent(blobs: Blobs): HandlersOf<typeof Content> {
  return {
    async info({ digest }, context) {
      return { info: infoToMessage(await blobs.scoped(scopeOf(context)).info(digest)) };
    },
    async update({ info, updateMask }, context) {
      const { digest, labels } = required(info, "info");
      const fields = fieldsFromMessage(updateMask);
      return { info: infoToMessage(await blobs.scoped(scopeOf(context)).update({ digest, labels }, fields)) };
    },
    async *list({ filters }, context) {
      const all = await blobs.scoped(scopeOf(context)).list(filters);
      for (let at = 0; at < all.length; at += LIST_PAGE)
        yield { info: all.slice(at, at + LIST_PAGE).map(infoToMessage) };
    },
    async delete({ digest }, context) {
      await blobs.scoped(scopeOf(context)).delete(digest);
      return {};
    },
    async *read({ digest, offset, size }, context) {
      let at = Number(offset);
      const range = { offset: at, size: size === 0n ? null : Number(size) };
      for await (const piece of blobs.scoped(scopeOf(context)).read(digest, range)) {
        for (let start = 0; start < piece.length; start += READ_PIECE) {
          const data = piece.subarray(start, start + READ_PIECE);
          yield { offset: BigInt(at), data };
          at += data.length;
        }
      }
    },
    async status({ ref }, context) {
      return { status: statusToMessage(await blobs.scoped(scopeOf(context)).status(ref)) };
    },
    async listStatuses({ filters }, context) {
      return { statuses: (await blobs.scoped(scopeOf(context)).statuses(filters)).map(statusToMessage) };
    },
    write: (requests, context) => write(blobs.scoped(scopeOf(context)), requests),
    async abort({ ref }, context) {
      await blobs.scoped(scopeOf(context)).abort(ref);
      return {};
    },
  };
}

async function* write(
  store: ContentStore,
  requests: AsyncIterable<WriteContentRequest>,
): AsyncIterable<Partial<WriteContentResponse>> {
  let writer: ContentWriter | null = null;
  try {
    for await (const request of requests) {
      if (writer === null) {
        const { ref, total, expected } = request;
        writer = await store.writer(ref, { size: Number(total), digest: expected });
      }
      if (request.action === WriteAction.STAT) yield answerOf(writer, request.action, "");
      else if (request.action === WriteAction.WRITE) {
        await append(writer, request);
        yield answerOf(writer, request.action, "");
      } else if (request.action === WriteAction.COMMIT) {
        await append(writer, request);
        const { total, expected, labels } = request;
        const digest = await writer.commit({ size: Number(total), digest: expected, labels });
        yield answerOf(writer, request.action, digest);
        return;
      } else throw new Failure("invalid_argument", `unknown content write action ${request.action}`);
    }
  } finally {
    await writer?.close();
  }
}

/** An offset of 0 with data begins again, which is how clients restart a blob whose source cannot seek. */
async function append(writer: ContentWriter, { offset, data }: WriteContentRequest): Promise<void> {
  if (data.length === 0) return;
  const at = writer.status.offset;
  if (offset === 0n && at > 0) await writer.reset();
  else if (Number(offset) !== at) {
    throw new Failure("out_of_range", `write @${offset} must occur at current offset ${at}: out of range`);
  }
  await writer.write(data);
}

function answerOf(writer: ContentWriter, action: number, digest: string): Partial<WriteContentResponse> {
  const { offset, total, startedAt, updatedAt } = writer.status;
  const times = { startedAt: timeToMessage(startedAt), updatedAt: timeToMessage(updatedAt) };
  return { action, offset: BigInt(offset), total: BigInt(total), digest, ...times };
}
