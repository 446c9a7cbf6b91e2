// ctr oci spec: the plain document that containers are made from, before any flag.

import type { Command } from "../cli/command.ts";
import { printedJson } from "../cli/format.ts";
import { print } from "../cli/invocation.ts";

const SPEC: Command = {
  names: ["spec"],
  usage: "see the output of the default OCI spec",
  async action(call) {
    const { ctrSpec } = await import("../../../core/spec/ctr.ts");
    const { namespace } = call.global;
    const spec = ctrSpec({ namespace, id: "", args: [], env: [], cwd: "/", user: { uid: 0, gid: 0 }, terminal: false });
    const { args: _args, env: _env, terminal: _terminal, ...process } = spec.process;
    // Of the devices only the first rule: the rest come with a container.
    const { resources: _resources, cgroupsPath: _path, ...rest } = spec.linux;
    const resources = { devices: [{ allow: false, access: "rwm" }] };
    const linux = { resources, cgroupsPath: `/${namespace}`, ...rest };
    print(printedJson({ ...spec, process, root: { path: spec.root.path }, linux }));
  },
};

export const OCI: Command = { names: ["oci"], usage: "OCI tools", commands: [SPEC] };
