// Words of the Engine API that are part of its contract: clients match on them, scripts compare them.
// dockerd says them, docker prints and reads them.

/** Put before every error that came from the daemon. */
export const DAEMON_ERROR_PREFIX = "Error response from daemon: ";

export function cannotConnect(host: string): string {
  return `Cannot connect to the Docker daemon at ${host}. Is the docker daemon running?`;
}

export const NO_SUCH = {
  container: (name: string) => `No such container: ${name}`,
  image: (name: string) => `No such image: ${name}`,
  volume: (name: string) => `get ${name}: no such volume`,
  network: (name: string) => `network ${name} not found`,
  exec: (name: string) => `No such exec instance: ${name}`,
} as const;

export const PAGE_NOT_FOUND = "page not found";

export function versionTooNew(asked: string, newest: string): string {
  return `client version ${asked} is too new. Maximum supported API version is ${newest}`;
}

export function versionTooOld(asked: string, oldest: string): string {
  return (
    `client version ${asked} is too old. Minimum supported API version is ${oldest}, ` +
    "please upgrade your client to a newer version"
  );
}

/** The exit code of run, create and exec when the daemon could not start the process: decided by its words, as the
 *  original client does. 125 is any other failure of the daemon. */
export function exitCodeOfStartFailure(message: string): 125 | 126 | 127 {
  const words = message.toLowerCase();
  const missing = ["executable file not found", "no such file or directory", "system cannot find the file specified"];
  if (missing.some((part) => words.includes(part))) return 127;
  if (words.includes("permission denied") || words.includes("not a directory") || words.includes("is a directory")) {
    return 126;
  }
  return 125;
}

/** The image is missing: the one failure of create that makes the client pull. */
export function isMissingImage(status: number, message: string): boolean {
  return status === 404 && /no such image/i.test(message);
}
