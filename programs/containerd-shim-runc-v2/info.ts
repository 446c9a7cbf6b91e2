// `-info` and `-v`: what this runtime is, and what it can do beyond the original.

import { RuntimeInfo } from "../../api/containerd/gen/types.ts";
import { ADOPT_ANNOTATION, STDIO_ANNOTATION } from "../../api/task/extensions.ts";
import { Any } from "../../api/wellknown/gen/any.ts";
import { encodeUtf8 } from "../../base/bytes.ts";
import { door } from "../../linux/door.ts";
import * as fd from "../../linux/fd.ts";
import { waitChild } from "../../linux/process.ts";
import { startProgram } from "./call/program.ts";
import { findProgram } from "./call/runc.ts";
import { RUNC_OUTPUT_LIMIT, STDIN_LIMIT } from "./limits.ts";
import { parseOptions, runtimeOf } from "./options.ts";
import { LOG_SCHEMES } from "./stdio/log-output.ts";

const VERSION = "0.1.0";
const FEATURES = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

export function versionText(name: string): string {
  return `${name.replace(/^.*\//, "")}:\n  Version:  ${VERSION}\n  Revision: gantry\n`;
}

export function printInfo(): number {
  const input = fd.readAll(0, STDIN_LIMIT);
  const options = input.length === 0 ? null : Any.decode(input);
  const features = runtimeFeatures(runtimeOf(parseOptions(options)));
  const info = RuntimeInfo.encode({
    name: "io.containerd.runc.v2",
    version: { version: VERSION, revision: "gantry" },
    options,
    features: features === null ? null : { typeUrl: FEATURES, value: encodeUtf8(features) },
    annotations: { [STDIO_ANNOTATION]: LOG_SCHEMES.join(","), [ADOPT_ANNOTATION]: "1" },
  });
  fd.writeAll(1, info);
  return 0;
}

/** What the runtime says of itself; null for one that knows no such command, or is not there. */
function runtimeFeatures(command: string): string | null {
  let path: string;
  try {
    path = findProgram(command);
  } catch {
    return null;
  }
  const output = fd.pipe();
  const descriptors = [null, output.write.number, null];
  const pid = startProgram({ path, args: ["features"], env: door().env, descriptors, tied: true });
  output.write.close();
  const text = door().decode(fd.readAll(output.read.number, RUNC_OUTPUT_LIMIT));
  output.read.close();
  return waitChild(pid)?.code === 0 ? text : null;
}
