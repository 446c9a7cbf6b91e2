// `start`: makes the socket, forks the process that serves it, and answers with its address.
//
//     stdin   nothing, an Any of runtime options (daemons up to 2.2), or BootstrapParams (from 2.3)
//     stdout  "unix:///…" for a daemon that knows nothing newer, {"version":…} where it names MAX_SHIM_VERSION, or
//             BootstrapResult where BootstrapParams came
//
// The child is a plain fork: this same image goes on, in a session of its own, with nothing of the caller's open.

import { BootstrapParams, BootstrapResult } from "../../api/task/gen/bootstrap.ts";
import { Options } from "../../api/task/gen/runc_options.ts";
import { Any } from "../../api/wellknown/gen/any.ts";
import { encodeUtf8 } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import type { Door } from "../../linux/door.ts";
import { environment } from "../../linux/environment.ts";
import * as fd from "../../linux/fd.ts";
import { fork, newSession, parentId, takeCores } from "../../linux/process.ts";
import { kill, SIGKILL } from "../../linux/signal.ts";
import { claimSocket, groupOf, keepAddress, socketDirectory, socketPath } from "./address.ts";
import type { CommandLine } from "./command-line.ts";
import { STDIN_LIMIT } from "./limits.ts";
import { parseOptions } from "./options.ts";
import { serve } from "./serve.ts";
import { joinCgroup } from "./shim-cgroup.ts";

const OOM_SCORE_MAX = 1000;
const VERSION = 3;
/** LOG_LEVEL_DEBUG of api/task/bootstrap.proto. */
const DEBUG_LEVEL = -4;

export function startShim(given: Door, command: CommandLine): number | undefined {
  const env = environment();
  const input = readInput();
  const bootstrap = parseBootstrap(input, command);
  const bundle = fd.workingDirectory();
  const { namespace, id } = command;
  const address = bootstrap?.containerdGrpcAddress || command.address;
  const directory = socketDirectory(env, bootstrap?.socketDir ?? null);
  const path = socketPath(directory, { address, namespace, group: groupOf(bundle, id) });
  const answer = answerOf(bootstrap !== null, env, `unix://${path}`);
  const socket = claimSocket(directory, path);
  if (socket === null) {
    keepAddress(bundle, path);
    fd.writeAll(1, answer);
    return 0;
  }
  // Ends without a byte if this process is killed before the daemon has its answer: then nobody knows of the child.
  const answered = fd.pipe();
  let child = 0;
  try {
    const ttrpcAddress = bootstrap?.containerdTtrpcAddress || (env["TTRPC_ADDRESS"] ?? "");
    const options = bootstrap === null ? legacyOptions(input) : optionsIn(bootstrap);
    const debug = command.debug || (bootstrap?.logLevel ?? 0) <= DEBUG_LEVEL;
    const publishBinary = command.publishBinary || (bootstrap?.containerdBinary ?? "");
    const score = oomScore();
    if ((env["SCHED_CORE"] ?? "") !== "") takeCores();
    child = fork();
    if (child === 0) {
      answered.write.close();
      detach(given, score, [socket.number, answered.read.number]);
      const own = { socket, path, directory, ttrpcAddress, takeOver: null, answered: answered.read };
      return serve(given, { ...command, address, debug, publishBinary }, own);
    }
    answered.read.close();
    if (options !== null) joinCgroup(options.shimCgroup, child);
    keepAddress(bundle, path);
  } catch (thrown) {
    if (child > 0) kill(child, SIGKILL);
    fd.unlinkIfThere(path);
    throw thrown;
  }
  fd.writeAll(1, answer);
  fd.writeAll(answered.write.number, Uint8Array.of(1));
  return 0;
}

export function readInput(): Uint8Array {
  return fd.readAll(0, STDIN_LIMIT);
}

/** An Any parses as BootstrapParams, too: only one that names this very task is one. */
export function parseBootstrap(input: Uint8Array, command: CommandLine): BootstrapParams | null {
  if (input.length === 0) return null;
  try {
    const params = BootstrapParams.decode(input);
    return params.instanceId === command.id && params.namespace === command.namespace ? params : null;
  } catch {
    return null;
  }
}

function legacyOptions(input: Uint8Array) {
  try {
    return input.length === 0 ? null : parseOptions(Any.decode(input));
  } catch (thrown) {
    throw new Error(`unmarshal options: ${messageOf(thrown)}`, { cause: thrown });
  }
}

/** The runtime's options among the extensions. */
function optionsIn({ extensions }: BootstrapParams): Options | null {
  const found = extensions.find(({ value }) => value?.typeUrl.replace(/^.*\//, "") === Options.typeName);
  return found?.value == null ? null : parseOptions(found.value);
}

export function answerOf(bootstrapped: boolean, env: Readonly<Record<string, string>>, address: string): Uint8Array {
  if (bootstrapped) {
    return BootstrapResult.encode({ version: VERSION, address, protocol: "ttrpc", capabilities: [], metadata: {} });
  }
  const known = Number(env["MAX_SHIM_VERSION"] ?? 0);
  if (!(known >= 2)) return encodeUtf8(address);
  return encodeUtf8(JSON.stringify({ version: Math.min(known, VERSION), address, protocol: "ttrpc" }));
}

/** One worse than the daemon's, so that the daemon is not killed for what a container's shim holds. */
export function oomScore(): number {
  const text = fd.readTextIfThere(`/proc/${parentId()}/oom_score_adj`, 64) ?? "0";
  return Math.min(Number(text.trim()) + 1, OOM_SCORE_MAX);
}

export function detach(given: Door, score: number, kept: readonly number[]): void {
  newSession();
  // Whatever the caller left open: a pipe held here would keep its reader waiting for ever.
  fd.closeAllBut(kept, 3);
  given.title(given.args.filter((_, at) => at < given.args.length - 1).join(" "));
  const nothing = fd.open("/dev/null", fd.O_RDWR);
  for (const standard of [0, 1, 2]) fd.duplicateTo(nothing.number, standard);
  nothing.close();
  try {
    fd.writeFile("/proc/self/oom_score_adj", String(score));
  } catch {
    // Not every machine lets it; the original's shim goes on, too.
  }
}
