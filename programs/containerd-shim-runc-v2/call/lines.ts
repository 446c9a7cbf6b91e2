// The runtime's command lines that make a process. What they have in common (--root, --log …) is added by runc.ts.

import type { ContainerSettings } from "../settings.ts";

/** Completed by where the terminal's master goes, once that is known: `--console-socket S`, or nothing. */
export type Line = (console: readonly string[]) => string[];

export function createLine({ id, runc, createFlags }: ContainerSettings, pidFile: string): Line {
  return (console) => ["create", "--bundle", runc.bundle, ...createFlags, "--pid-file", pidFile, ...console, id];
}

export function restoreLine(
  { id, runc, createFlags, checkpoint }: ContainerSettings,
  work: string,
  pidFile: string,
): Line {
  const flags = createFlags.filter((flag) => flag !== "--no-new-keyring");
  return (console) => [
    ...["restore", "--bundle", runc.bundle, "--image-path", checkpoint, "--work-path", work],
    ...["--detach", "--no-subreaper", ...flags, "--pid-file", pidFile, ...console, id],
  ];
}

/** `spec` is the file that holds the process. */
export function execLine(id: string, spec: string, pidFile: string): Line {
  return (console) => ["exec", "--process", spec, ...console, "--detach", "--pid-file", pidFile, id];
}
