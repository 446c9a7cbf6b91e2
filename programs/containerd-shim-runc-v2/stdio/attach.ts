// The attach socket: clients that watch a container's output beside its log, and feed its stdin. Frames both ways are
// [type, 0, 0, 0, length as u32 big-endian] and at most ATTACH_FRAME_LIMIT bytes.
//
//     client ──▶ shim   0 bytes of stdin · 4 stdin is at its end · 8 subscribe (1 stdout, 2 stderr; what is there
//                       already) · 10 a rotated log was compressed
//     shim ──▶ client   9 subscribed · 1 stdout · 2 stderr · 3 the text of an error · 11 the answer to 10; end of
//                       stream after the last byte
//
// A client does not slow its container: what it does not read is kept, in memory (ATTACH_QUEUE_LIMIT), then in a file
// without a name beside the log (ATTACH_SPILL_LIMIT). Only beyond that does the container's stream wait, for a client
// that reads on; after ATTACH_STALL_TIMEOUT without any progress it is cut, with a sentence.

import { attachFrame, FRAME_STDERR, FRAME_STDOUT, writeHeader } from "../../../api/task/attach.ts";
import { door } from "../../../linux/door.ts";
import { EPOLLIN } from "../../../linux/epoll.ts";
import * as fd from "../../../linux/fd.ts";
import { effectiveUser } from "../../../linux/process.ts";
import { accept, listenUnix, peerCredentials, UNIX_PATH_LIMIT } from "../../../linux/socket.ts";
import type { Loop } from "../../../runtime/quickjs/loop.ts";
import { ATTACH_CLIENT_LIMIT } from "../limits.ts";
import { AttachClient } from "./attach-client.ts";
import type { Journal } from "./journal.ts";
import { CHUNK_ROOM } from "./pump.ts";
import type { StreamName } from "./records.ts";
import type { StdinWriter } from "./stdin.ts";

export interface AttachSettings {
  path: string;
  /** Null when the container has no stdin. */
  stdin: StdinWriter | null;
  /** On a disk, for what slow clients have not read yet. */
  spillDirectory: string;
  compressed: (inode: bigint) => boolean;
  /** Knows how far the output is. */
  journal: Journal;
  /** Called when a full client made room or went. */
  progress: () => void;
  /** Told how many clients watch the output, whenever that changes. */
  watched: (clients: number) => void;
  /** Where the server stands while it is closed and has clients that still read. */
  lingering: Set<unknown>;
  warn: (sentence: string) => void;
}

export class AttachServer {
  readonly #loop: Loop;
  readonly #settings: AttachSettings;
  readonly #listener: fd.Fd;
  readonly #clients = new Set<AttachClient>();
  readonly #open: Record<StreamName, boolean>;
  #listening = true;

  /** Listens at the path (replacing what a dead shim left there), mode 0600. `streams`: those that will end. */
  constructor(loop: Loop, settings: AttachSettings, streams: readonly StreamName[]) {
    this.#loop = loop;
    this.#settings = settings;
    this.#open = { stdout: streams.includes("stdout"), stderr: streams.includes("stderr") };
    this.#listener = listenAt(settings.path);
    loop.watch(this.#listener.number, EPOLLIN, () => this.#accept());
  }

  /** Sends a chunk, which has room for the frame's header in front of it. False: a client is full. */
  write(stream: StreamName, chunk: Uint8Array): boolean {
    if (this.#clients.size === 0) return true;
    const type = stream === "stdout" ? FRAME_STDOUT : FRAME_STDERR;
    const frame = new Uint8Array(chunk.buffer, chunk.byteOffset - CHUNK_ROOM, CHUNK_ROOM + chunk.length);
    writeHeader(frame, type, chunk.length);
    let room = true;
    for (const client of [...this.#clients]) {
      if (!client.wants(stream)) continue;
      const has = client.has(stream, this.#settings.journal.places[stream]);
      if (has === 0) room = client.send(frame) && room;
      else if (has < chunk.length) room = client.send(attachFrame(type, chunk.subarray(has))) && room;
    }
    return room;
  }

  /** Whether some client's queue is full. */
  get full(): boolean {
    for (const client of this.#clients) if (client.full) return true;
    return false;
  }

  /** One stream is at its end; after the last one the clients get theirs. */
  end(stream: StreamName): void {
    this.#open[stream] = false;
    if (this.#open.stdout || this.#open.stderr) return;
    for (const client of [...this.#clients]) client.finish();
  }

  /** No new clients; those that are there get what is queued for them, within a bounded time. */
  close(): void {
    if (!this.#listening) return;
    this.#listening = false;
    this.#loop.unwatch(this.#listener.number);
    this.#listener.close();
    fd.unlinkIfThere(this.#settings.path);
    for (const client of [...this.#clients]) client.finish();
    if (this.#clients.size > 0) this.#settings.lingering.add(this);
  }

  #accept(): void {
    const connection = accept(this.#listener.number);
    if (connection === null) return;
    const uid = peerCredentials(connection.number).uid;
    if ((uid !== 0 && uid !== effectiveUser()) || this.#clients.size >= ATTACH_CLIENT_LIMIT) {
      connection.close();
      return;
    }
    const { stdin, spillDirectory, warn, progress, compressed, journal } = this.#settings;
    const client = new AttachClient(this.#loop, connection, {
      stdin,
      spillDirectory,
      warn,
      compressed,
      journal,
      ended: () => !this.#open.stdout && !this.#open.stderr,
      progress,
      subscribed: () => this.#watched(),
      gone: () => {
        this.#clients.delete(client);
        this.#watched();
        if (this.#clients.size === 0) this.#settings.lingering.delete(this);
        progress();
      },
    });
    this.#clients.add(client);
  }

  #watched(): void {
    this.#settings.watched([...this.#clients].filter((client) => client.subscribed).length);
  }
}

/** A path longer than an address may be is reached through its directory's descriptor. */
function listenAt(path: string): fd.Fd {
  fd.unlinkIfThere(path);
  if (door().encode(path).length <= UNIX_PATH_LIMIT) return listenUnix(path, 0o600);
  const slash = path.lastIndexOf("/");
  using directory = fd.open(path.slice(0, slash), fd.O_PATH | fd.O_DIRECTORY);
  return listenUnix(`/proc/self/fd/${directory.number}${path.slice(slash)}`, 0o600);
}
