// All that is decided about a container before anything is made: config.json checked and turned into what the stages
// want. The parent makes it; the child, being a copy of the parent, finds it in its memory.

import { Failure } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { CAPABILITY_NAMES } from "../linux/capability-names.ts";
import { type ResourceLimit, RLIMIT_NAMES } from "../linux/credential.ts";
import { ENOENT, errnoOf } from "../linux/errno.ts";
import { readText } from "../linux/fd.ts";
import { planUnit, type Unit } from "./cgroups/systemd/unit.ts";
import type { Paths } from "./layout.ts";
import type { Mappings } from "./mappings.ts";
import { READINESS_ENVIRONMENT, readinessMount } from "./readiness.ts";
import { planResctrl, type ResctrlPlan } from "./resctrl.ts";
import type { Rootless } from "./rootless.ts";
import { type Filter, prepareFilter } from "./seccomp.ts";
import { checkProcess, checkRoot, checkSpec, type NamespacePlan, planNamespaces } from "./spec/check.ts";
import { type MemoryPolicy, planMemoryPolicy } from "./spec/memory.ts";
import { type MountPlan, planMount } from "./spec/mounts.ts";
import { type LinuxSpec, type ProcessSpec, readSpec, type Spec } from "./spec/schema.ts";
import { checkGroups, checkInterfaces, checkRootless, planIdmaps, planUsers } from "./spec/users.ts";

export interface CapabilityPlan {
  bounding: bigint;
  effective: bigint;
  permitted: bigint;
  inheritable: bigint;
  ambient: bigint;
}

/** What the last stages need, of a container's first process and of one that `exec` adds. */
export interface ProcessPlan {
  spec: ProcessSpec;
  capabilities: CapabilityPlan;
  limits: ResourceLimit[];
  /** In a new user namespace the right to raise limits is the parent's alone. */
  limitsByParent: boolean;
  filter: Pick<Filter, "program" | "flags" | "listener"> | null;
  /** A user without rights keeps the groups it has: it may not change them. */
  keepsGroups: boolean;
  memoryPolicy: MemoryPolicy | null;
  noNewKeyring: boolean;
  /** Descriptors from 3 on that go to the program. */
  extraDescriptors: number;
  /** Added to the environment of config.json. */
  extraEnvironment: string[];
}

export interface Plan {
  id: string;
  bundle: string;
  paths: Paths;
  rootfs: string;
  spec: Spec;
  linux: LinuxSpec;
  namespaces: NamespacePlan;
  /** Of its user namespace; not used without one. */
  mappings: Mappings;
  rootless: Rootless;
  mounts: MountPlan[];
  process: ProcessPlan;
  filter: Filter | null;
  resctrl: ResctrlPlan | null;
  noPivot: boolean;
  /** Where systemd keeps the cgroups; null where they are made in the file system. */
  unit: Unit | null;
  /** Whether the program is to say when it is ready. */
  readiness: boolean;
  /** Sentences for the log. */
  warnings: string[];
}

/** Whether the child stops before its root is entered, for what the parent does in the host's namespaces then. */
export function awaitsHost({ spec: { hooks }, linux }: Plan): boolean {
  const early = hooks === null ? 0 : hooks.prestart.length + hooks.createRuntime.length;
  return early > 0 || Object.keys(linux.netDevices).length > 0;
}

export interface PlanOptions {
  id: string;
  /** Absolute. */
  bundle: string;
  paths: Paths;
  rootless: Rootless;
  noPivot: boolean;
  readiness: boolean;
  noNewKeyring: boolean;
  /** systemd keeps the cgroups. */
  systemd: boolean;
  /** Descriptors after the standard ones that the program gets: LISTEN_FDS and --preserve-fds together. */
  extraDescriptors: number;
  extraEnvironment: string[];
}

export function readBundle(bundle: string): Spec {
  let text: string;
  try {
    text = readText(`${bundle}/config.json`);
  } catch (thrown) {
    if (errnoOf(thrown) === ENOENT) throw new Failure("not_found", "JSON specification file config.json not found");
    throw thrown;
  }
  return readSpec(parseConfig(text, "config.json"), "");
}

/** Malformed JSON as a sentence that names the file. */
export function parseConfig(text: string, name: string): ReturnType<typeof parseJson> {
  try {
    return parseJson(text);
  } catch (thrown) {
    throw new Failure("invalid_argument", `${name} is not valid JSON: ${(thrown as Error).message}`, { cause: thrown });
  }
}

export function planContainer(options: PlanOptions): Plan {
  const spec = readBundle(options.bundle);
  const warnings: string[] = [];
  const process = checkProcess(spec.process);
  const linux = spec.linux ?? readSpec({ linux: {} }, "").linux!;
  const rootfs = checkRoot(spec, options.bundle);
  const namespaces = planNamespaces(linux);
  checkSpec(spec, linux, namespaces);
  const mappings = planUsers(linux, namespaces, (message) => warnings.push(message));
  if (options.readiness) {
    spec.mounts.push(readinessMount(options.paths));
    process.env.push(READINESS_ENVIRONMENT);
  }
  const mounts = spec.mounts.map(planMount);
  planIdmaps(mounts, namespaces, mappings);
  const { rootless } = options;
  if (rootless.user) checkRootless(namespaces, mounts, mappings);
  checkInterfaces(rootless, linux);
  checkGroups(rootless.user, process.user.additionalGids);
  const { id } = options;
  const named = { id, cgroupsPath: linux.cgroupsPath, annotations: spec.annotations };
  const unit = options.systemd ? planUnit({ ...named, user: rootless.cgroups }) : null;
  const resctrl = planResctrl(linux.intelRdt, options.id);
  const filter = prepareFilter(options.paths.root, linux.seccomp);
  return {
    ...{ id, unit, bundle: options.bundle, paths: options.paths },
    ...{ noPivot: options.noPivot, readiness: options.readiness },
    ...{ rootfs, spec, linux, namespaces, mappings, rootless, mounts, filter, resctrl, warnings },
    // Its affinity is for processes that exec adds.
    process: planProcess(
      { ...process, execCPUAffinity: null },
      {
        filter,
        limitsByParent: namespaces.has("user"),
        keepsGroups: rootless.user,
        memoryPolicy: planMemoryPolicy(linux.memoryPolicy),
        noNewKeyring: options.noNewKeyring,
        extraDescriptors: options.extraDescriptors,
        extraEnvironment: options.extraEnvironment,
        warnings,
      },
    ),
  };
}

export interface ProcessOptions
  extends Pick<
    ProcessPlan,
    "noNewKeyring" | "extraDescriptors" | "extraEnvironment" | "limitsByParent" | "keepsGroups" | "memoryPolicy"
  > {
  filter: ProcessPlan["filter"];
  warnings: string[];
}

export function planProcess(spec: ProcessSpec, options: ProcessOptions): ProcessPlan {
  const { warnings, ...rest } = options;
  const unknown = new Set<string>();
  const set = (names: readonly string[]) => {
    // In halves: a bigint for each name would cost more than all the rest.
    let [low, high] = [0, 0];
    for (const name of names) {
      const number = CAPABILITY_NAMES.indexOf(name);
      if (number < 0) unknown.add(name);
      else if (number < 32) low |= 1 << number;
      else high |= 1 << (number - 32);
    }
    return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  };
  const wanted = spec.capabilities;
  const capabilities = {
    bounding: set(wanted?.bounding ?? []),
    effective: set(wanted?.effective ?? []),
    permitted: set(wanted?.permitted ?? []),
    inheritable: set(wanted?.inheritable ?? []),
    ambient: set(wanted?.ambient ?? []),
  };
  if (unknown.size > 0) warnings.push(`ignoring unknown or unavailable capabilities: [${[...unknown].join(" ")}]`);
  const limits = spec.rlimits.map(({ type, soft, hard }) => ({ resource: RLIMIT_NAMES.indexOf(type), soft, hard }));
  return { spec, capabilities, limits, ...rest };
}
