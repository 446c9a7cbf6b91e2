// What our shim and our daemons say to each other beyond the original's contract: names in `-info`, in the environment
// and in the bundle. PROTOCOL.md has what they mean.

/** Annotation: the formats in which the shim writes logs and serves attach sockets itself, separated by commas. */
export const STDIO_ANNOTATION = "io.gantry.stdio";
/** Annotation, "1": the shim has the action `adopt`. */
export const ADOPT_ANNOTATION = "io.gantry.adopt";
/** Environment of `adopt` and `delete`: the number of a descriptor by which the daemon holds the first process. */
export const TASK_PIDFD = "TASK_PIDFD";
/** Exit code of `adopt`: the task cannot be taken over, for good. */
export const EXIT_NOT_ADOPTABLE = 3;
/** In the bundle: the record by which another shim takes over. Its `holder` says where the shim holds a pidfd. */
export const TASK_RECORD = "task.json";

/** In a sandbox's bundle: the same of the sandbox. */
export const SANDBOX_RECORD = "sandbox.json";

/** In the bundle: the pipe of that stream of the first process. */
export function outputFifo(stream: "stdout" | "stderr"): string {
  return `${stream}.fifo`;
}

export const OUTPUT_FIFOS: readonly string[] = [outputFifo("stdout"), outputFifo("stderr")];
