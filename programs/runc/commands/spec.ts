// `runc spec`: a config.json to start from.

import { Failure } from "../../../base/errors.ts";
import { formatJson } from "../../../base/json.ts";
import { exampleSpec, rootlessExample } from "../../../container/spec/example.ts";
import { changeDirectory, stat, writeFile } from "../../../linux/fd.ts";
import { effectiveGroup, effectiveUser } from "../../../linux/process.ts";
import type { Command } from "../command.ts";

export const spec: Command = {
  name: "spec",
  arguments: "",
  summary: "create a new specification file",
  run(line) {
    const bundle = line.flags.string("bundle", "b", "path to the root of the bundle directory");
    const rootless = line.flags.bool("rootless", "", "generate a configuration for a rootless container");
    line.parse(0, 0);
    if (bundle.value !== "") changeDirectory(bundle.value);
    if (stat("config.json") !== null) {
      throw new Failure("already_exists", "File config.json exists. Remove it first");
    }
    const unified = stat("/sys/fs/cgroup/cgroup.controllers") !== null;
    writeFile(
      "config.json",
      formatJson(rootless.value ? rootlessExample({ ...self(), unified }) : exampleSpec(unified), "\t"),
      0o666,
    );
    return 0;
  },
};

function self(): { uid: number; gid: number } {
  return { uid: effectiveUser(), gid: effectiveGroup() };
}
