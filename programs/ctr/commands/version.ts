// ctr version: of this program and of the containerd it talks to.

import type { Command } from "../cli/command.ts";
import { print } from "../cli/invocation.ts";
import { REVISION, VERSION } from "../cli/version.ts";

const SERVER_LIMIT = 10_000; // milliseconds

export const VERSIONS: Command = {
  names: ["version"],
  usage: "print the client and server versions",
  async action(call) {
    print(`Client:\n  Version:  ${VERSION}\n  Revision: ${REVISION}\n  Node version: ${process.version}\n\n`);
    const { containerd } = await call.session();
    const server = await containerd.version(SERVER_LIMIT);
    print(`Server:\n  Version:  ${server.version}\n  Revision: ${server.revision}\n`);
    const { uuid } = await containerd.server();
    print(`  UUID: ${uuid}\n`);
    if (server.version !== VERSION) process.stderr.write("WARNING: version mismatch\n");
    if (server.revision !== REVISION) process.stderr.write("WARNING: revision mismatch\n");
  },
};
