// A hijacked connection beside the user's terminal: what is typed goes out, what the container says comes back. Ends
// when the daemon ends the output, or when the user detaches.

import { FrameDecoder } from "../../../api/engine/frames.ts";
import { DAEMON_ERROR_PREFIX } from "../../../api/engine/messages.ts";
import { decodeUtf8 } from "../../../base/bytes.ts";
import type { ByteStream } from "../../../base/runtime.ts";
import type { Cli } from "../cli.ts";
import { ExitStatus } from "../failure.ts";
import { DEFAULT_DETACH_KEYS, DetachScanner, parseDetachKeys } from "./detach.ts";

const COPY_BYTES = 32 * 1024;

export interface Attachment {
  stream: ByteStream;
  /** Whether what is typed is sent. */
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** With a terminal the output is raw and the keys may detach. */
  tty: boolean;
  /** "" for the default sequence. */
  detachKeys: string;
}

/** Thrown when the user detached. */
export class Detached extends ExitStatus {
  constructor() {
    super(1, "read escape sequence");
  }
}

/** Raw mode while `action` runs, when a terminal is asked for and there is one. */
export async function withRawTerminal<Result>(
  cli: Cli,
  wanted: boolean,
  action: () => Promise<Result>,
): Promise<Result> {
  using _raw = wanted ? cli.runtime.terminal.raw(0) : null;
  return await action();
}

/** Resolves when the output ended. The caller closes the stream. */
export async function copyAttached(cli: Cli, attachment: Attachment): Promise<void> {
  const { stream } = attachment;
  const output = copyOutput(cli, attachment);
  if (!attachment.stdin) {
    stream.closeWrite();
    return output;
  }
  let detach: () => void = () => {};
  const detached = new Promise<"detached">((resolve) => {
    detach = () => resolve("detached");
  });
  const input = copyInput(cli, attachment, detach);
  input.catch(() => {}); // a container that ended while something was typed: its output says how
  if (!attachment.stdout && !attachment.stderr) {
    const first = await Promise.race([input.then(() => "input" as const), detached]);
    if (first === "detached") throw new Detached();
    return;
  }
  if ((await Promise.race([output, detached])) === "detached") throw new Detached();
}

async function copyInput(cli: Cli, attachment: Attachment, detached: () => void): Promise<void> {
  const { stream } = attachment;
  const scanner = attachment.tty
    ? new DetachScanner(parseDetachKeys(attachment.detachKeys || DEFAULT_DETACH_KEYS))
    : null;
  const into = new Uint8Array(COPY_BYTES);
  const { stdin } = cli.runtime;
  for (;;) {
    const count = await stdin.read(into);
    if (count === 0) break;
    if (scanner === null) {
      await stream.write(into.subarray(0, count));
      continue;
    }
    const scanned = scanner.push(into.subarray(0, count));
    if (scanned.pass.length > 0) await stream.write(scanned.pass);
    if (scanned.detached) return detached();
  }
  stream.closeWrite();
}

async function copyOutput(cli: Cli, attachment: Attachment): Promise<void> {
  const into = new Uint8Array(COPY_BYTES);
  const decoder = new FrameDecoder();
  for (;;) {
    const count = await attachment.stream.read(into);
    if (count === 0) return;
    const bytes = into.subarray(0, count);
    if (attachment.tty) await cli.out.write(bytes);
    else await writeFrames(cli, decoder, bytes);
  }
}

/** Sends payload where its frame belongs. Throws what the daemon says in a frame of failure. */
export async function writeFrames(cli: Cli, decoder: FrameDecoder, bytes: Uint8Array): Promise<void> {
  for (const { stream, payload } of decoder.push(bytes)) {
    if (stream === "failure") {
      throw new ExitStatus(1, `error from daemon in stream: ${DAEMON_ERROR_PREFIX}${decodeUtf8(payload).trim()}`);
    }
    await (stream === "stderr" ? cli.err : cli.out).write(payload);
  }
}
