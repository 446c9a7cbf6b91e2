// What a command prints: text is gathered and leaves in few writes, bytes of containers go through at once, in order.

import { concatBytes, encodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import type { ByteStream } from "../../base/runtime.ts";
import { ExitStatus } from "./failure.ts";

const GATHERED_BYTES = 32 * 1024;
/** What a shell reports of a program that a closed pipe ended. */
const BROKEN_PIPE_STATUS = 141;

export class Output {
  readonly #stream: () => ByteStream;
  #parts: Uint8Array[] = [];
  #length = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(stream: () => ByteStream) {
    this.#stream = stream;
  }

  print(text: string): void {
    if (text === "") return;
    const bytes = encodeUtf8(text);
    this.#parts.push(bytes);
    this.#length += bytes.length;
    if (this.#length > GATHERED_BYTES) void this.flush().catch(() => {});
  }

  line(text: string): void {
    this.print(`${text}\n`);
  }

  /** Resolves when these bytes and all before them are written. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#length > 0) await this.flush();
    await this.#send(bytes);
  }

  async flush(): Promise<void> {
    if (this.#length > 0) {
      const bytes = concatBytes(this.#parts);
      this.#parts = [];
      this.#length = 0;
      this.#writing = this.#writing.then(() => this.#send(bytes));
    }
    await this.#writing;
  }

  async #send(bytes: Uint8Array): Promise<void> {
    try {
      await this.#stream().write(bytes);
    } catch (thrown) {
      if (thrown instanceof Failure && String(thrown.facts["errno"]).includes("EPIPE"))
        throw new ExitStatus(BROKEN_PIPE_STATUS);
      if (thrown instanceof Failure && thrown.facts["errno"] === 32) throw new ExitStatus(BROKEN_PIPE_STATUS);
      throw thrown;
    }
  }
}
