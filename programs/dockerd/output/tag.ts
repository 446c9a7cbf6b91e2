// What --log-opt tag= makes of a container: a Go template over what the original's log drivers know of it, with the
// functions that Docker gives to templates. Its complaints are the original's, and come when the container is started.

import { hostname } from "node:os";
import { Failure } from "../../../base/errors.ts";
import { type Fields, Template } from "../../../base/template/executor.ts";
import { FUNCTIONS } from "../../../base/template/functions.ts";
import { TemplateError } from "../../../base/template/lexer.ts";
import { Shown, showValue } from "../../../base/template/print.ts";
import type { ContainerRecord } from "../containers/record.ts";

const SHORT_ID = 12;
/** Of the daemon, whatever it is called elsewhere. */
const DAEMON_NAME = "docker";

export interface TagSource {
  record: ContainerRecord;
  logPath: string;
  /** What the options labels and env ask for. */
  attributes: Readonly<Record<string, string>>;
}

/** "" without the option. Throws Failure "invalid_argument" for a template that cannot be read or executed. */
export function tagOf(source: TagSource): string {
  const template = source.record.logOptions["tag"] ?? "";
  if (template === "") return "";
  const options = {
    name: "log-tag",
    textsOnly: true as const,
    // One that is not there is nothing by name, and empty by index.
    absent: (_name: string, missing: boolean) => (missing ? null : undefined),
    functions: { index: (...args: unknown[]) => FUNCTIONS["index"]!(...args) ?? "" },
  };
  try {
    return new Template(template, options).execute(new Info(source));
  } catch (thrown) {
    if (!(thrown instanceof TemplateError)) throw thrown;
    throw new Failure("invalid_argument", `failed to initialize logging driver: ${thrown.message}`, { cause: thrown });
  }
}

/** The original's logger.Info: its fields in their order, then its methods. */
class Info extends Shown implements Fields {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #methods: Readonly<Record<string, unknown>>;

  constructor({ record, logPath, attributes }: TagSource) {
    const { id, name, path, args, imageId, imageName, createdAt, config } = record;
    const fields = {
      Config: { ...record.logOptions },
      ContainerID: id,
      ContainerName: `/${name}`,
      ContainerEntrypoint: path,
      ContainerArgs: args,
      ContainerImageID: imageId,
      ContainerImageName: imageName,
      ContainerCreated: new Shown(goTime(createdAt), createdAt, "time.Time"),
      ContainerEnv: config.Env ?? [],
      ContainerLabels: config.Labels ?? {},
      LogPath: logPath,
      DaemonName: DAEMON_NAME,
    };
    super(`{${Object.values(fields).map(showValue).join(" ")}}`, fields, "*logger.Info");
    this.#fields = fields;
    this.#methods = {
      ID: id.slice(0, SHORT_ID),
      FullID: id,
      Name: name,
      // With the algorithm's name, which takes more than half of it: so has the original.
      ImageID: imageId.slice(0, SHORT_ID),
      ImageFullID: imageId,
      ImageName: imageName,
      Command: [path, ...args].join(" "),
      Hostname: hostname(),
      ExtraAttributes: () => attributes,
    };
  }

  field(name: string): unknown {
    for (const known of [this.#fields, this.#methods]) if (Object.hasOwn(known, name)) return known[name];
    return undefined;
  }
}

/** "2026-11-21 07:09:47.25 +0000 UTC" of RFC 3339: how Go shows a time. */
function goTime(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/.exec(text);
  if (match === null) return text;
  const fraction = (match[3] ?? "").replace(/\.?0+$/, "");
  return `${match[1]} ${match[2]}${fraction} +0000 UTC`;
}
