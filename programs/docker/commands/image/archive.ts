// Images as archives: save, load, import; and export of a container, which goes the same way.

import type { ByteStream } from "../../../../base/runtime.ts";
import type { BodyReader } from "../../../../wire/http/body.ts";
import type { ClientResponse } from "../../../../wire/http/client.ts";
import { type Cli, fileSentence } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { parseReference } from "../../reference.ts";
import { progressTo, showProgress } from "../../stream/progress.ts";
import { platformJson } from "./pull.ts";

const COPY_BYTES = 64 * 1024;
const TERMINAL_REFUSED = "cowardly refusing to save to a terminal. Use the -o flag or redirect";

/** Where an archive goes: a file, or stdout when `path` is ""; `what` is said when it cannot. */
export interface ArchiveTarget {
  path: string;
  what: "save image" | "export container";
}

/** Sends an answer's body to its target. A file that stays incomplete is removed. */
export async function saveBody(cli: Cli, target: ArchiveTarget, call: () => Promise<ClientResponse>): Promise<void> {
  const { path } = target;
  if (path === "" && cli.runtime.terminal.isTerminal(1)) throw new ExitStatus(1, TERMINAL_REFUSED);
  if (path !== "") checkTarget(cli, target);
  const { body } = await call();
  if (path === "") {
    for (let piece = await body.read(); piece !== null; piece = await body.read()) await cli.out.write(piece);
    return;
  }
  using file = openFile(cli, path, true);
  try {
    for (let piece = await body.read(); piece !== null; piece = await body.read()) await file.write(piece);
  } catch (thrown) {
    if (cli.runtime.files.stat(path)?.kind === "file") cli.runtime.files.remove(path);
    throw thrown;
  }
}

function checkTarget(cli: Cli, { path, what }: ArchiveTarget): void {
  const { files } = cli.runtime;
  const slash = path.lastIndexOf("/");
  const parent = slash < 0 ? "." : path.slice(0, slash) || "/";
  const invalid = (reason: string) => new ExitStatus(1, `failed to ${what}: invalid output path: ${reason}`);
  if (files.stat(parent) === null) throw invalid(`stat ${parent}: no such file or directory`);
  const kind = files.stat(path)?.kind ?? "file";
  if (kind === "directory") throw invalid(`${JSON.stringify(path)} must be a regular file`);
}

function openFile(cli: Cli, path: string, write: boolean): ByteStream {
  try {
    return cli.runtime.files.open(path, { write, mode: 0o600 });
  } catch (thrown) {
    throw new ExitStatus(1, fileSentence(thrown, "open", path));
  }
}

/** A stream as a request's body. */
export function bodyOfStream(stream: ByteStream): BodyReader {
  let done = false;
  return {
    get done() {
      return done;
    },
    async read() {
      const into = new Uint8Array(COPY_BYTES);
      const count = await stream.read(into);
      if (count > 0) return into.subarray(0, count);
      done = true;
      return null;
    },
  };
}

export const save: Command = {
  name: "save",
  summary: "Save one or more images to a tar archive (streamed to STDOUT by default)",
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  args: [1, null],
  define(set) {
    const output = set.string("output", "o", "Write to a file instead of STDOUT");
    const platform = set.string("platform", "", "Save only this platform's image");
    return (cli, names) =>
      saveBody(cli, { path: output.value, what: "save image" }, () =>
        cli.engine.open("GET", "/images/get", {
          query: { platform: platformJson(platform.value) },
          repeated: names.map((name) => ["names", name] as const),
        }),
      );
  },
};

export const load: Command = {
  name: "load",
  summary: "Load an image from a tar archive or STDIN",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const input = set.string("input", "i", "Read from this file instead of STDIN");
    const platform = set.string("platform", "", "Load only this platform's image");
    const quiet = set.bool("quiet", "q", "Do not show progress");
    return async (cli) => {
      if (input.value === "" && cli.runtime.terminal.isTerminal(0)) {
        throw new ExitStatus(1, "requested load from stdin, but stdin is empty");
      }
      const stream = input.value === "" ? cli.runtime.stdin : openFile(cli, input.value, false);
      const isQuiet = quiet.value || !cli.runtime.terminal.isTerminal(1);
      const response = await cli.engine.open("POST", "/images/load", {
        query: { platform: platformJson(platform.value), quiet: isQuiet ? 1 : null },
        body: { content: bodyOfStream(stream), type: "application/x-tar" },
      });
      if ((response.headers.get("content-type") ?? "").startsWith("application/json")) {
        return showProgress(response.body, progressTo(cli, 1));
      }
      for (let piece = await response.body.read(); piece !== null; piece = await response.body.read())
        await cli.out.write(piece);
    };
  },
};

export const importImage: Command = {
  name: "import",
  summary: "Import the contents from a tarball to create a filesystem image",
  usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
  args: [1, null],
  define(set) {
    const change = set.list("change", "c", "Dockerfile instruction to apply to the new image");
    const message = set.string("message", "m", "Commit message");
    const platform = set.string("platform", "", "Platform of the image");
    return async (cli, [source, target]) => {
      if (target !== undefined) parseReference(target);
      const remote = /^https?:\/\//.test(source!);
      const stream = remote ? null : source === "-" ? cli.runtime.stdin : openFile(cli, source!, false);
      const response = await cli.engine.open("POST", "/images/create", {
        query: {
          fromSrc: remote ? source! : "-",
          message: message.value || null,
          platform: platform.value || null,
          repo: target ?? null,
        },
        repeated: change.value.map((instruction) => ["changes", instruction] as const),
        ...(stream === null ? {} : { body: { content: bodyOfStream(stream), type: "text/plain" } }),
      });
      await showProgress(response.body, progressTo(cli, 1));
    };
  },
};
