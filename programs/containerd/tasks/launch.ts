// Starting a shim, and cleaning up after one that died: the shim's command line.
//
//     <shim> … start  ◀─stdin─ runtime options (an Any), or BootstrapParams for a shim that understands them
//                     ─stdout▶ address (bare, JSON or BootstrapResult); stderr mixed in would corrupt it
//     <shim> … delete ─stdout▶ DeleteResponse

import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { EXIT_NOT_ADOPTABLE, TASK_PIDFD } from "../../../api/task/extensions.ts";
import { BootstrapParams, BootstrapResult } from "../../../api/task/gen/bootstrap.ts";
import { DeleteResponse } from "../../../api/task/gen/task_v3.ts";
import { Any } from "../../../api/wellknown/gen/any.ts";
import { Failure, messageOf } from "../../../base/errors.ts";
import { nanosecondsFromMessage, typedToMessage } from "../../../core/messages.ts";
import type { TaskExit } from "../../../core/tasks/tasks.ts";
import type { TypedValue } from "../../../core/values.ts";
import { type BundlePlace, parseAddress, type ShimAddress } from "./bundle.ts";
import type { ShimBinary } from "./runtime.ts";

const START_TIMEOUT = 30_000; // milliseconds
const DELETE_TIMEOUT = 30_000; // milliseconds
const DELETE_ATTEMPTS = 3;
const ANSWER_LIMIT = 64 << 10; // bytes
/** After the shim's exit its output must end; a served child that inherited it would hold it open for ever. */
const DRAIN_TIMEOUT = 1000; // milliseconds
const LOG_LEVEL_INFO = 4;
const LOG_LEVEL_DEBUG = 5;

/** What every shim is told about the daemon. */
export interface DaemonFacts {
  address: string;
  ttrpcAddress: string;
  /** The containerd program, for shims that publish through it. */
  binary: string;
  version: string;
  debug: boolean;
}

export interface Launch {
  place: BundlePlace;
  bundle: string;
  runtime: string;
  binary: ShimBinary;
  options: TypedValue | null;
}

export async function launchShim(launch: Launch, daemon: DaemonFacts): Promise<ShimAddress> {
  const { bundle, binary } = launch;
  writeFileSync(join(bundle, "shim-binary-path"), binary.path, { mode: 0o600 });
  const child = run(launch, daemon, [...(daemon.debug ? ["-debug"] : []), "start"]);
  const options = launch.options === null ? new Uint8Array(0) : Any.encode(typedToMessage(launch.options)!);
  child.stdin!.on("error", () => {});
  child.stdin!.end(binary.bootstrap ? bootstrapParams(launch, daemon) : options);
  const { code, stdout, output } = await finished(child, START_TIMEOUT);
  if (code !== 0) {
    const said = output.toString("utf8").trim();
    throw new Failure("unknown", `failed to start shim: start failed: ${said}: exit status ${code}`);
  }
  const address = readAnswer(binary.bootstrap ? stdout : output);
  if (address.protocol !== "ttrpc") {
    throw new Failure("unimplemented", `the shim speaks ${address.protocol}, which is not supported`);
  }
  writeFileSync(join(bundle, "bootstrap.json"), JSON.stringify(address), { mode: 0o600 });
  return address;
}

/** Runs `<shim> adopt`: another shim takes over from one that is gone. `pidfd`: of the task's first process, if the
 *  daemon holds it. Throws "failed_precondition" with the shim's reason when it cannot, "unavailable" when it went
 *  wrong and may be tried again. */
export async function adoptTask(launch: Launch, daemon: DaemonFacts, pidfd: number | null): Promise<ShimAddress> {
  const child = run(launch, daemon, [...(daemon.debug ? ["-debug"] : []), "adopt"], pidfd);
  child.stdin!.on("error", () => {});
  child.stdin!.end();
  const { code, output } = await finished(child, START_TIMEOUT);
  const refused = code === EXIT_NOT_ADOPTABLE ? "failed_precondition" : "unavailable";
  if (code !== 0) throw new Failure(refused, output.toString("utf8").trim());
  const address = readAnswer(output);
  writeFileSync(join(launch.bundle, "bootstrap.json"), JSON.stringify(address), { mode: 0o600 });
  return address;
}

/** Runs `<shim> delete` for a task whose shim is gone: it kills what is left and unmounts the root. */
export async function deleteDeadShim(
  launch: Launch,
  daemon: DaemonFacts,
  pidfd: number | null = null,
): Promise<TaskExit & { pid: number }> {
  const args = ["-bundle", launch.bundle, ...(daemon.debug ? ["-debug"] : []), "delete"];
  const attempt = (): Promise<Finished> => {
    const child = run(launch, daemon, args, pidfd);
    child.stdin!.on("error", () => {});
    child.stdin!.end();
    return finished(child, DELETE_TIMEOUT);
  };
  let ended = await attempt();
  // It can be done again, so it is if it was killed.
  for (let made = 1; typeof ended.code === "string" && made < DELETE_ATTEMPTS; made++) ended = await attempt();
  const { code, stdout, output } = ended;
  if (code !== 0) throw new Failure("unknown", `shim delete failed: ${output.toString("utf8").trim()}`);
  const { pid, exitStatus, exitedAt } = DeleteResponse.decode(stdout);
  return { pid, exitStatus, exitedAt: nanosecondsFromMessage(exitedAt) };
}

/** The number under which a child finds the pidfd. */
const PIDFD = 3;

function run(launch: Launch, daemon: DaemonFacts, last: readonly string[], pidfd: number | null = null): ChildProcess {
  const { namespace, id } = launch.place;
  const flags = ["-namespace", namespace, "-address", daemon.address, "-publish-binary", daemon.binary, "-id", id];
  return spawn(launch.binary.path, [...flags, ...last], {
    cwd: launch.bundle,
    stdio: ["pipe", "pipe", "pipe", ...(pidfd === null ? [] : [pidfd])],
    env: {
      ...process.env,
      GOMAXPROCS: "2",
      MAX_SHIM_VERSION: "2",
      TTRPC_ADDRESS: daemon.ttrpcAddress,
      GRPC_ADDRESS: daemon.address,
      NAMESPACE: namespace,
      ...(pidfd === null ? {} : { [TASK_PIDFD]: String(PIDFD) }),
    },
  });
}

interface Finished {
  code: number | string;
  stdout: Buffer;
  /** Both streams, in order of arrival, as the original reads them. */
  output: Buffer;
}

function finished(child: ChildProcess, timeout: number): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const [stdout, output]: [Buffer[], Buffer[]] = [[], []];
    let size = 0;
    const gather = (into: Buffer[][]) => (piece: Buffer) => {
      size += piece.length;
      if (size <= ANSWER_LIMIT) for (const list of into) list.push(piece);
    };
    child.stdout!.on("data", gather([stdout, output]));
    child.stderr!.on("data", gather([output]));
    const timer = setTimeout(() => child.kill("SIGKILL"), timeout);
    let drain: NodeJS.Timeout | null = null;
    const done = (): void => {
      clearTimeout(timer);
      if (drain !== null) clearTimeout(drain);
      const code = child.exitCode ?? `signal ${child.signalCode}`;
      resolve({ code, stdout: Buffer.concat(stdout), output: Buffer.concat(output) });
    };
    child.on("close", done);
    child.on("exit", () => {
      drain = setTimeout(() => {
        child.stdout!.destroy();
        child.stderr!.destroy();
        done();
      }, DRAIN_TIMEOUT);
    });
    child.on("error", (cause) => {
      clearTimeout(timer);
      reject(new Failure("unknown", `failed to start shim: ${messageOf(cause)}`, { cause }));
    });
  });
}

function readAnswer(answer: Buffer): ShimAddress {
  const text = answer.toString("utf8");
  if (text.startsWith("{") || text.startsWith("unix://")) return parseAddress(text);
  try {
    const { version, address, protocol } = BootstrapResult.decode(answer);
    if (address !== "") return { version, address, protocol: protocol === "" ? "ttrpc" : protocol };
  } catch {
    // Said below.
  }
  throw new Failure("unknown", `failed to start shim: its answer is no address: ${JSON.stringify(text)}`);
}

function bootstrapParams(launch: Launch, daemon: DaemonFacts): Uint8Array {
  return BootstrapParams.encode(
    BootstrapParams.create({
      instanceId: launch.place.id,
      namespace: launch.place.namespace,
      logLevel: daemon.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
      containerdVersion: daemon.version,
      containerdTtrpcAddress: daemon.ttrpcAddress,
      containerdGrpcAddress: daemon.address,
      containerdBinary: daemon.binary,
      extensions: launch.options === null ? [] : [{ value: typedToMessage(launch.options) }],
    }),
  );
}
