// `runc restore`: a container from the images that checkpoint wrote; like `run`, it stays in the foreground unless told
// to detach.

import { type Restored, restoreContainer } from "../../../container/checkpoint/restore.ts";
import { planFrom, tell } from "../../../container/detached.ts";
import { killContainer, removeContainer } from "../../../container/remove.ts";
import { setChildSubreaper } from "../../../linux/process.ts";
import { absolute, type Command, callerOf } from "../command.ts";
import { criuFlags, settingsFrom, warnRootless } from "./criu-flags.ts";
import { Foreground } from "./foreground.ts";
import { openConsole } from "./terminal.ts";

export const restore: Command = {
  name: "restore",
  arguments: "<container-id>",
  summary: "restore a container from a previous checkpoint",
  run(line, context) {
    const { flags } = line;
    const console = flags.string(
      "console-socket",
      "",
      "path to an AF_UNIX socket which will receive the console's master descriptor",
    );
    const given = criuFlags(line, "path to criu image files for restoring");
    const bundle = flags.string("bundle", "b", "path to the root of the bundle directory");
    const detach = flags.bool("detach", "d", "detach from the container's process");
    const pidFile = flags.string("pid-file", "", "specify the file to write the process id to");
    const noSubreaper = flags.bool("no-subreaper", "", "disable the use of the subreaper");
    const noPivot = flags.bool("no-pivot", "", "do not use pivot root to jail process inside rootfs");
    const lsmProfile = flags.string("lsm-profile", "", "LSM profile to be used during restore, as TYPE:NAME");
    const lsmMountContext = flags.string("lsm-mount-context", "", "LSM mount context to be used during restore");
    const [id] = line.parse(1, 1);
    warnRootless(context);
    // Before the bundle becomes the working directory: relative paths are the caller's.
    const settings = settingsFrom(given);
    settings.lsmProfile = lsmProfile.value;
    settings.lsmMountContext = lsmMountContext.value;
    const path = ({ value }: { value: string }) => (value === "" ? "" : absolute(value));
    const request = {
      ...{ id: id!, bundle: bundle.value, noPivot: noPivot.value, noNewKeyring: false, preserve: 0 },
      ...{ console: path(console), pidfd: "", pidFile: path(pidFile) },
    };
    const plan = planFrom(request, callerOf(context));
    using ends = openConsole(plan.process.spec, { detach: detach.value, socket: request.console });
    const foreground = detach.value ? null : new Foreground();
    if (!noSubreaper.value) setChildSubreaper();
    const warn = (message: string) => context.log.warn(message);
    const voice = { warn, debug: context.log.stages };
    const restored = restoreContainer({ plan, settings, env: context.environment(), console: ends.send, voice });
    const container = { paths: plan.paths, record: restored.record };
    try {
      const master = restored.terminal ? ends.receive() : null;
      foreground?.prepare(master);
      tell(restored.pid, request);
      if (foreground === null) return 0;
      return follow(foreground, restored, {
        master,
        done: () => removeContainer(container, { warn, directory: null, force: false }),
      });
    } catch (thrown) {
      killContainer(container);
      removeContainer(container, { warn, directory: null, force: false });
      throw thrown;
    }
  },
};

function follow(
  foreground: Foreground,
  restored: Restored,
  how: { master: Parameters<Foreground["follow"]>[1]; done: () => void },
): number {
  const code = foreground.follow(restored.pid, how.master);
  how.done();
  return code;
}
