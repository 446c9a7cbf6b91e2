// The words of `docker ps`: "Up 5 minutes (healthy)", "Exited (0) 2 hours ago". The daemon renders them, not the
// client.

import { humanDuration } from "../../../base/human.ts";
import type { ContainerState } from "./record.ts";

export function statusText(state: ContainerState, health: string | null, now: number): string {
  const since = (time: string) => humanDuration(now - Date.parse(time));
  switch (state.status) {
    case "running":
      return `Up ${since(state.startedAt)}${healthSuffix(health)}`;
    case "paused":
      return `Up ${since(state.startedAt)} (Paused)`;
    case "restarting":
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
    case "created":
      return "Created";
    case "exited":
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
  }
}

function healthSuffix(health: string | null): string {
  if (health === null) return "";
  return health === "starting" ? " (health: starting)" : ` (${health})`;
}
