// Version numbers of the Engine API as this project speaks it.

/** The newest version client and daemon know. */
export const API_NEWEST = "1.52";
/** The oldest one the daemon answers. */
export const API_OLDEST = "1.40";
/** Spoken before negotiation, and to daemons that state none. */
export const API_UNSTATED = "1.24";

/** Below, equal, above zero, as versions such as "1.9" and "1.41" compare. */
export function compareApiVersions(a: string, b: string): number {
  const [left, right] = [a.split("."), b.split(".")];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = Number(left[at] ?? 0) - Number(right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
