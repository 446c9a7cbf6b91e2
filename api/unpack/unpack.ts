// What containerd (and dockerd) say to containerd-unpack, one process per call. See PROTOCOL.md.
// Types only: both sides check what they read.

export const UNPACK_PROGRAM = "containerd-unpack";

export interface UnpackMount {
  type: string;
  source: string;
  target: string;
  options: readonly string[];
}

/** `containerd-unpack apply <request>`: a tar archive on stdin goes into the mounts. */
export interface ApplyRequest {
  mounts: readonly UnpackMount[];
  /** An empty directory to mount on, inside the program's own mount namespace. */
  mountpoint: string;
}

/** One line on stdout after success; everything is on the disk then. */
export interface ApplyAnswer {
  entries: number;
  /** Content bytes written. */
  bytes: number;
}

/** `containerd-unpack diff <request>`: a tar archive of what makes `lower` into `upper`, on stdout. */
export interface DiffRequest {
  /** Empty for an archive of everything in `upper`. */
  lower: readonly UnpackMount[];
  upper: readonly UnpackMount[];
  /** Two empty directories to mount on. */
  mountpoints: readonly [lower: string, upper: string];
}

// `containerd-unpack sync <path>`, `fifos <path>…` and `unmount <path>` answer nothing.

/** The last line on stderr when the exit code is 1. */
export interface UnpackFailure {
  code: string;
  message: string;
}
