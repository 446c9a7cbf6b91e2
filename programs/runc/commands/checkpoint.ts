// `runc checkpoint`: a running container written to images; it is gone afterwards unless it is to go on.

import { Failure, messageOf } from "../../../base/errors.ts";
import { dumpContainer } from "../../../container/checkpoint/dump.ts";
import { removeContainer } from "../../../container/remove.ts";
import { loadContainer, statusOf } from "../../../container/state.ts";
import type { Command } from "../command.ts";
import { criuFlags, pageServerOf, parentPathOf, settingsFrom, warnRootless } from "./criu-flags.ts";

export const checkpoint: Command = {
  name: "checkpoint",
  arguments: "<container-id>",
  summary: "checkpoint a running container",
  run(line, context) {
    const { flags } = line;
    const given = criuFlags(line, "path for saving criu image files");
    const parent = flags.string("parent-path", "", "path for previous criu image files in pre-dump");
    const leaveRunning = flags.bool("leave-running", "", "leave the process running after checkpointing");
    const skipInFlight = flags.bool("tcp-skip-in-flight", "", "skip in-flight tcp connections");
    const linkRemap = flags.bool("link-remap", "", "allow one to link unlinked files back when possible");
    const statusFd = flags.int("status-fd", "", "criu writes \\0 to this FD once lazy-pages is ready", -1);
    const pageServer = flags.string("page-server", "", "ADDRESS:PORT of the page server");
    const preDump = flags.bool(
      "pre-dump",
      "",
      "dump container's memory information only, leave the container running after this",
    );
    const [id] = line.parse(1, 1);
    warnRootless(context);
    const container = loadContainer(context.root, id!);
    const status = statusOf(container);
    if (status === "created" || status === "stopped") {
      throw new Failure("failed_precondition", `Container cannot be checkpointed in ${status} state`);
    }
    const settings = settingsFrom(given);
    settings.parentPath = parentPathOf(settings.imagePath, parent.value);
    settings.leaveRunning = leaveRunning.value;
    settings.tcpSkipInFlight = skipInFlight.value;
    settings.linkRemap = linkRemap.value;
    settings.statusFd = statusFd.value;
    settings.pageServer = pageServerOf(pageServer.value);
    settings.preDump = preDump.value;
    const warn = (message: string) => context.log.warn(message);
    dumpContainer({ container, settings, env: context.environment(), voice: { warn, debug: context.log.stages } });
    if (settings.leaveRunning || settings.preDump) return 0;
    try {
      removeContainer(container, { warn, directory: null, force: false });
    } catch (thrown) {
      // The images are whole: what is left of the container can be deleted later.
      warn(messageOf(thrown));
    }
    return 0;
  },
};
