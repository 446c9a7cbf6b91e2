// The criu of this machine: where it is, which version, what it can do. Each question is a worker of its own, so the
// version is asked once.

import { CriuFeatures, CriuReq, CriuReqType, type CriuResp, type CriuVersion } from "../../api/criu/gen/rpc.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import { door } from "../../linux/door.ts";
import * as nr from "../../linux/numbers.ts";
import type { Voice } from "./settings.ts";
import { typeName, Worker, type WorkerStart } from "./worker.ts";

const PROGRAM = "criu";
const MAY_EXECUTE = 1;

/** Versions from which on something is there. */
export const CRIU_RPC_VERSION = 30000;
export const CRIU_EXTERNAL_NETWORK = 31100;
export const CRIU_UNIFIED_FREEZER = 31400;
export const CRIU_TIME_NAMESPACE = 31400;
export const CRIU_EXTERNAL_PIDS = 31500;
export const CRIU_STATUS_READY = 31500;
export const CRIU_LSM_OPTIONS = 31600;

export type WorkerOptions = Pick<WorkerStart, "standard" | "inherited" | "cgroup" | "tasks">;

const PLAIN: WorkerOptions = { standard: [null, null, null], inherited: [], cgroup: null, tasks: [] };

export class Criu {
  readonly #path: string;
  readonly #environment: readonly string[];
  readonly #voice: Voice;
  readonly version: number;

  /** Asks its version; throws when there is none, or an old one. */
  constructor(env: Readonly<Record<string, string>>, voice: Voice) {
    this.#environment = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    this.#voice = voice;
    try {
      this.#path = findProgram(env["PATH"] ?? "");
      const { version } = this.#ask(CriuReq.create({ type: CriuReqType.VERSION }));
      if (version === null) throw new Failure("failed_precondition", "criu does not say its version");
      this.version = versionNumber(version);
    } catch (thrown) {
      throw new Failure("failed_precondition", `CRIU version check failed: ${messageOf(thrown)}`, { cause: thrown });
    }
    if (!this.reaches(CRIU_RPC_VERSION)) {
      throw new Failure("failed_precondition", `CRIU version ${this.version} must be ${CRIU_RPC_VERSION} or higher`);
    }
  }

  reaches(version: number): boolean {
    return this.version >= version;
  }

  start(options: Partial<WorkerOptions>): Worker {
    return Worker.start({ ...PLAIN, ...options, path: this.#path, environment: this.#environment });
  }

  /** Throws, with their names, when some of those wanted are missing. One that criu does not know may work. */
  requireFeatures(wanted: Partial<CriuFeatures>): void {
    let found: CriuFeatures | null;
    try {
      const features = CriuFeatures.create(wanted);
      found = this.#ask(CriuReq.create({ type: CriuReqType.FEATURE_CHECK, features })).features;
    } catch (thrown) {
      throw new Failure("failed_precondition", `CRIU feature check failed: ${messageOf(thrown)}`, { cause: thrown });
    }
    const missing = [
      ...(wanted.memTrack === true && found?.memTrack === false ? ["MemTrack"] : []),
      ...(wanted.lazyPages === true && found?.lazyPages === false ? ["LazyPages"] : []),
    ];
    for (const name of missing) this.#voice.debug?.(`CRIU does not support ${name}`);
    if (missing.length > 0) {
      throw new Failure("failed_precondition", `criu is missing features: [${missing.join(" ")}]`);
    }
  }

  #ask(request: CriuReq): CriuResp {
    using worker = this.start({});
    worker.send(request);
    const { response } = worker.receive();
    if (response.success !== true) throw refusal(response);
    return response;
  }
}

export function refusal(response: CriuResp): Failure {
  const words = `criu failed: type ${typeName(response.type)} errno ${response.crErrno ?? 0}`;
  return new Failure("failed_precondition", words);
}

/** 3.17.1 is 31701. A build between releases counts as the next one. */
export function versionNumber({ majorNumber, minorNumber, sublevel, gitid }: CriuVersion): number {
  const release = (majorNumber ?? 0) * 10000 + (minorNumber ?? 0) * 100;
  return gitid === null ? release + (sublevel ?? 0) : release + 100;
}

/** As a shell looks for it; an empty part of PATH is not the working directory here. */
function findProgram(searched: string): string {
  for (const directory of searched.split(":")) {
    const path = `${directory}/${PROGRAM}`;
    if (directory.startsWith("/") && door().syscall(nr.SYS_access, path, MAY_EXECUTE) === 0) return path;
  }
  throw new Failure("not_found", `exec: "${PROGRAM}": executable file not found in $PATH`);
}
