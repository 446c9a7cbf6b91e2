// The flags that create and run share, and the request they become.

import type { BundleRequest } from "../../../container/detached.ts";
import { absolute, type Line } from "../command.ts";

export function bundleFlags({ flags }: Line) {
  return {
    bundle: flags.string("bundle", "b", "path to the root of the bundle directory, defaults to the current directory"),
    console: flags.string(
      "console-socket",
      "",
      "path to an AF_UNIX socket which will receive the console's master descriptor",
    ),
    pidfd: flags.string("pidfd-socket", "", "path to an AF_UNIX socket which will receive a pidfd of the process"),
    pidFile: flags.string("pid-file", "", "specify the file to write the process id to"),
    noPivot: flags.bool("no-pivot", "", "do not use pivot root to jail process inside rootfs"),
    noNewKeyring: flags.bool("no-new-keyring", "", "do not create a new session keyring for the container"),
    preserve: flags.int(
      "preserve-fds",
      "",
      "pass N additional file descriptors to the container (stdio + $LISTEN_FDS + N)",
    ),
  };
}

/** Relative paths of flags count from where runc was called, those of config.json from the bundle. */
export function requestFrom(given: ReturnType<typeof bundleFlags>, id: string): BundleRequest {
  const path = ({ value }: { value: string }) => (value === "" ? "" : absolute(value));
  return {
    id,
    bundle: given.bundle.value,
    noPivot: given.noPivot.value,
    noNewKeyring: given.noNewKeyring.value,
    preserve: given.preserve.value,
    console: path(given.console),
    pidfd: path(given.pidfd),
    pidFile: path(given.pidFile),
  };
}
