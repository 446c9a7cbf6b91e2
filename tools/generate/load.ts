// Reads all .proto files of api/ and says what is in each: messages, enums and services, with types resolved.

import { readdirSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import protobuf from "protobufjs";

export interface ProtoFile {
  /** Relative to api/: "containerd/tasks.proto". */
  source: string;
  /** Relative to api/: "containerd/gen/tasks.ts". */
  output: string;
  messages: protobuf.Type[];
  enums: protobuf.Enum[];
  services: protobuf.Service[];
  /** Which file each message or enum of any file is in. */
  home: ReadonlyMap<protobuf.ReflectionObject, string>;
}

export function loadProtos(api: string): ProtoFile[] {
  const sources = readdirSync(api, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".proto"))
    .sort();
  const root = new protobuf.Root();
  // Imports are relative to api/; google's own types are files of ours, so protobufjs's built-in ones stay out.
  root.resolvePath = (_origin, target) => (target.startsWith(api) ? target : join(api, target));
  root.loadSync(sources.map((source) => join(api, source)));
  root.resolveAll();
  const found: protobuf.ReflectionObject[] = [];
  collect(root, found);
  const home = new Map(found.map((item) => [item, relative(api, fileOf(item))]));
  return sources.map((source) => {
    const mine = found.filter((item) => home.get(item) === source);
    return {
      source,
      output: outputOf(source),
      messages: mine.filter((item) => item instanceof protobuf.Type),
      enums: mine.filter((item) => item instanceof protobuf.Enum),
      services: mine.filter((item) => item instanceof protobuf.Service),
      home,
    };
  });
}

export function outputOf(source: string): string {
  return join(dirname(source), "gen", `${basename(source, ".proto")}.ts`);
}

function fileOf(item: protobuf.ReflectionObject): string {
  for (let at: protobuf.ReflectionObject | null = item; at !== null; at = at.parent)
    if (at.filename) return at.filename;
  throw new Error(`${item.fullName} is in no file`);
}

function collect(namespace: protobuf.NamespaceBase, into: protobuf.ReflectionObject[]): void {
  for (const item of namespace.nestedArray) {
    const wanted = item instanceof protobuf.Type || item instanceof protobuf.Enum || item instanceof protobuf.Service;
    if (wanted) into.push(item);
    if (item instanceof protobuf.Namespace) collect(item, into);
  }
}
