// GET /containers/{id}/top: ps of the host, of which the lines of the container's processes are kept.

import { spawn } from "node:child_process";
import type { TopResponse } from "../../../api/engine/container.ts";
import { Failure } from "../../../base/errors.ts";
import type { Engine } from "../engine.ts";
import type { Container } from "./container.ts";

/** Bytes of ps output that are read, and milliseconds it may take. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 10_000;

export async function topContainer(engine: Engine, container: Container, given: string): Promise<TopResponse> {
  if (!container.running) {
    throw new Failure("failed_precondition", `container ${container.id} is not running`);
  }
  const args = given.trim() === "" ? ["-ef"] : given.trim().split(/\s+/);
  checkArguments(given, args);
  const pids = new Set(await engine.containerd.tasks.pids(container.id));
  return parse(await runPs(args), pids);
}

/** A title that hides the pid column would make every line look like ours. */
function checkArguments(text: string, args: readonly string[]): void {
  if (/-?o?pid=\S+|(^|,)pid=/.test(text.replace(/\s/g, "")) || args.includes("--headers")) {
    throw new Failure("invalid_argument", `specifying "${text}" is not allowed`);
  }
}

function runPs(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("ps", args, { stdio: ["ignore", "pipe", "pipe"], timeout: TIMEOUT_MS });
    let output = "";
    let complaint = "";
    child.stdout.on("data", (piece: Buffer) => {
      if (output.length < MAX_OUTPUT_BYTES) output += piece.toString();
    });
    child.stderr.on("data", (piece: Buffer) => {
      complaint = `${complaint}${piece.toString()}`.slice(0, 4096);
    });
    child.once("error", (cause) => reject(new Failure("internal", `error running ps: ${cause.message}`, { cause })));
    child.once("close", (code) => {
      if (code === 0) resolve(output);
      else reject(new Failure("internal", `error running ps: exit status ${code}: ${complaint.trim().split("\n")[0]}`));
    });
  });
}

function parse(output: string, pids: ReadonlySet<number>): TopResponse {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  const Titles = (lines.shift() ?? "").trim().split(/\s+/);
  const column = Titles.indexOf("PID");
  if (column < 0) throw new Failure("internal", "couldn't find PID field in ps output");
  const Processes: string[][] = [];
  for (const line of lines) {
    const words = line.trim().split(/\s+/);
    if (!pids.has(Number(words[column]))) continue;
    // The last column is the command with its spaces.
    Processes.push([...words.slice(0, Titles.length - 1), words.slice(Titles.length - 1).join(" ")]);
  }
  return { Titles, Processes };
}
