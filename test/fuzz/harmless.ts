// What a mutated file may not ask of the machine that tests: a root or a source outside of the test's directory,
// cgroups outside of its own, programs of the host other than `true`. Everything else stays as the mutation made it.
// A text that is no JSON any more is left alone: nothing can come of it.

type Json = { [key: string]: Json } | Json[] | string | number | boolean | null;
const HOOKS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
const HOOKS_MOST = 50;

/** Deeper there is only what was nested to be deep. */
const DEPTH = 500;

type JsonObject = { [key: string]: Json };

export function harmless(bytes: Uint8Array, directory: string, tag: string): Uint8Array | string {
  const text = new TextDecoder().decode(bytes);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return bytes;
  }
  const risky = walk(value, (key, part) => refusal(key, part, directory, tag));
  // As it was, with its long numbers, its keys twice and its bad bytes, when there was nothing to take out.
  return risky ? formatted(value) : bytes;
}

function formatted(value: Json): string {
  try {
    return JSON.stringify(value);
  } catch {
    // Too deep for this side.
    return "{}";
  }
}

/** Another value for a field that would reach out; undefined to leave it. */
function refusal(key: string, value: Json, directory: string, tag: string): Json | undefined {
  // Thousands of programs are run as asked, and take the time they take.
  if (Array.isArray(value) && value.length > HOOKS_MOST && HOOKS.includes(key)) return value.slice(0, HOOKS_MOST);
  const text = typeof value === "string" ? value : null;
  if (text === null) return undefined;
  if (key === "cgroupsPath" && text !== `/${tag}/c`)
    return `/${tag}/${text.replaceAll("..", "dots").replaceAll("/", "-").slice(0, 100)}`;
  if ((key === "source" || key === "rootfs") && text.startsWith("/") && !text.startsWith(directory)) return "tmpfs";
  if (key === "path" && (text.includes("..") || !isKnownPath(text, directory))) return "rootfs";
  if (text.startsWith("/sys/fs/cgroup") && !text.includes(tag) && !text.endsWith("/fuzz"))
    return `/sys/fs/cgroup/pids/${tag}/none`;
  return undefined;
}

function isKnownPath(path: string, directory: string): boolean {
  return path === "rootfs" || path === "/bin/true" || path === "/dev/fuzz" || path === "" || path.startsWith(directory);
}

/** Whether something was replaced. */
function walk(value: Json, replace: (key: string, part: Json) => Json | undefined, depth = 0): boolean {
  if (depth > DEPTH || typeof value !== "object" || value === null) return false;
  let changed = false;
  for (const [key, part] of Object.entries(value)) {
    const other = replace(Array.isArray(value) ? "" : key, part);
    if (other !== undefined) {
      (value as JsonObject)[key] = other;
      changed = true;
    } else if (walk(part, replace, depth + 1)) changed = true;
  }
  return changed;
}
