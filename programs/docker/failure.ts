// How a command ends when it does not succeed: an exit code, and a text for stderr or none.

export class ExitStatus extends Error {
  readonly code: number;

  /** `message` "" ends quietly with the code. */
  constructor(code: number, message = "") {
    super(message);
    this.code = code;
  }
}

/** Failures of run, create and their kin name the program and where to read on. */
export function withHelp(code: number, message: string, path: string): ExitStatus {
  return new ExitStatus(code, `docker: ${message}\n\nRun '${path} --help' for more information`);
}

/** All that went wrong for several names; each was said when it happened or is said now, one per line. */
export function throwCollected(messages: readonly string[]): void {
  if (messages.length > 0) throw new ExitStatus(1, messages.join("\n"));
}
