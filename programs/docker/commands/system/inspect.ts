// docker inspect and the inspect of each kind: the daemon's JSON, indented, or through a template.

import { messageOf } from "../../../../base/errors.ts";
import { formatJson, type Json } from "../../../../base/json.ts";
import { Template } from "../../../../base/template/executor.ts";
import { TemplateError } from "../../../../base/template/lexer.ts";
import { DaemonError } from "../../call/engine/engine.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { ExitStatus } from "../../failure.ts";
import { pathSegment } from "../../reference.ts";

type Kind = "container" | "image" | "network" | "volume";

const KINDS: readonly Kind[] = ["container", "image", "network", "volume"];
const OTHER_KINDS = ["config", "node", "plugin", "secret", "service", "task"];

const PATHS: Readonly<Record<Kind, (name: string) => string>> = {
  container: (name) => `/containers/${name}/json`,
  image: (name) => `/images/${name}/json`,
  network: (name) => `/networks/${name}`,
  volume: (name) => `/volumes/${name}`,
};

function allKinds(): string {
  return [...KINDS, ...OTHER_KINDS]
    .sort()
    .map((kind) => `"${kind}"`)
    .join(", ");
}

interface InspectOptions {
  kinds: readonly Kind[];
  format: string;
  size: boolean;
  verbose: boolean;
}

export const inspect: Command = {
  name: "inspect",
  summary: "Return low-level information on Docker objects",
  usage: "[OPTIONS] NAME|ID [NAME|ID...]",
  args: [1, null],
  define(set) {
    const format = set.string("format", "f", "Show with a Go template, or 'json'");
    const size = set.bool("size", "s", "Show sizes of containers");
    const type = set.string("type", "", "Look only at objects of this type");
    return (cli, names) => {
      const wanted = type.value;
      if (type.changed && wanted === "") throw new ExitStatus(1, `type is empty: must be one of ${allKinds()}`);
      if (wanted !== "" && !KINDS.includes(wanted as Kind) && !OTHER_KINDS.includes(wanted)) {
        throw new ExitStatus(1, `unknown type: "${wanted}": must be one of ${allKinds()}`);
      }
      if (OTHER_KINDS.includes(wanted))
        throw new ExitStatus(1, `objects of type ${wanted} are not known to this client`);
      const kinds = wanted === "" ? KINDS : [wanted as Kind];
      return inspectAll(cli, names, { kinds, format: format.value, size: size.value, verbose: false });
    };
  },
};

export function inspectKind(kind: Kind, summary: string): Command {
  const word = kind.toUpperCase();
  return {
    name: "inspect",
    summary,
    usage: `[OPTIONS] ${word} [${word}...]`,
    args: [1, null],
    define(set) {
      const format = set.string("format", "f", "Show with a Go template, or 'json'");
      const size = kind === "container" ? set.bool("size", "s", "Show sizes") : null;
      const verbose = kind === "network" ? set.bool("verbose", "v", "Show details for diagnosis") : null;
      if (kind === "image") set.string("platform", "", "Look at this platform's image");
      return (cli, names) =>
        inspectAll(cli, names, {
          kinds: [kind],
          format: format.value,
          size: size?.value ?? false,
          verbose: verbose?.value ?? false,
        });
    },
  };
}

async function inspectAll(cli: Cli, names: readonly string[], options: InspectOptions): Promise<void> {
  const template = options.format === "" || options.format === "json" ? null : parseFormat(options.format);
  const found: Json[] = [];
  const failures: string[] = [];
  let shown = false;
  for (const name of names) {
    try {
      const value = await findObject(cli, name, options);
      if (template === null) found.push(value);
      else {
        cli.out.line(template.execute(value));
        shown = true;
      }
    } catch (thrown) {
      if (thrown instanceof TemplateError) {
        failures.push(`template parsing error: ${thrown.message}`);
        break;
      }
      failures.push(messageOf(thrown));
    }
  }
  if (template === null) cli.out.print(showAll(found, options.format === "json"));
  else if (!shown) cli.out.print("\n");
  if (failures.length > 0) throw new ExitStatus(1, failures.join("\n"));
}

function showAll(values: readonly Json[], asLines: boolean): string {
  if (asLines) return `${formatJson(values)}\n`;
  if (values.length === 0) return "[]\n";
  return `${formatJson(values, 4)}\n`;
}

async function findObject(cli: Cli, name: string, options: InspectOptions): Promise<Json> {
  for (const kind of options.kinds) {
    try {
      const query = {
        ...(options.size && kind === "container" ? { size: 1 } : {}),
        ...(options.verbose ? { verbose: "true" } : {}),
      };
      return await cli.engine.get<Json>(PATHS[kind](pathSegment(name)), query);
    } catch (thrown) {
      const missing = thrown instanceof DaemonError && (thrown.status === 404 || isOddName(thrown));
      if (!missing || options.kinds.length === 1) throw thrown;
    }
  }
  throw new Error(`Error: No such object: ${name}`);
}

/** Some names are refused by one kind as malformed and may still be another's. */
function isOddName(error: DaemonError): boolean {
  return error.status === 400 && /invalid reference format|invalid.*name/i.test(error.daemonMessage);
}

function parseFormat(format: string): Template {
  try {
    return new Template(format.replace(/\\t/g, "\t").replace(/\\n/g, "\n"), { absent: absentField });
  } catch (thrown) {
    if (thrown instanceof TemplateError) throw new ExitStatus(64, `template parsing error: ${thrown.message}`);
    throw thrown;
  }
}

const LISTS = new Set(
  [
    "Args Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps",
    "BlkioWeightDevice CapAdd CapDrop Cmd DeviceCgroupRules DeviceRequests Devices Dns DnsOptions",
    "DnsSearch Entrypoint Env ExecIDs ExtraHosts GroupAdd Links MaskedPaths Mounts OnBuild ReadonlyPaths",
    "RepoDigests RepoTags SecurityOpt Shell Ulimits VolumesFrom Aliases DNSNames Layers",
  ].flatMap((line) => line.split(" ")),
);
const MAPS = new Set(
  [
    "Annotations ExposedPorts Labels PortBindings Ports StorageOpt Sysctls Tmpfs Volumes Options",
    "DriverOpts Networks",
  ].flatMap((line) => line.split(" ")),
);
const ABSENT_OBJECTS = new Set("Health Healthcheck Init StopTimeout SizeRw SizeRootFs IPAMConfig".split(" "));
const ABSENT_TEXTS = new Set("StopSignal Runtime MacAddress Variant Driver Name Comment Parent".split(" "));

/** What a field that was left out, or is null, would hold in the original's own types. */
function absentField(name: string, missing: boolean): unknown {
  if (LISTS.has(name)) return [];
  if (MAPS.has(name)) return {};
  if (missing && ABSENT_OBJECTS.has(name)) return null;
  if (missing && ABSENT_TEXTS.has(name)) return "";
  return undefined;
}
