// Names of images as people write them, and what they stand for: "busybox" is "docker.io/library/busybox:latest".

export interface ImageReference {
  /** "docker.io", "localhost:5000". */
  domain: string;
  /** "library/busybox". */
  path: string;
  tag: string;
  digest: string;
}

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[\w][\w.-]{0,127}$/;
const DIGEST = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$/;

/** Throws a plain error with the original's words. */
export function parseReference(text: string): ImageReference {
  if (text === "") throw new Error("invalid reference format");
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw new Error(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const at = text.indexOf("@");
  const digest = at < 0 ? "" : text.slice(at + 1);
  let name = at < 0 ? text : text.slice(0, at);
  const colon = name.lastIndexOf(":");
  let tag = "";
  if (colon > name.lastIndexOf("/")) {
    tag = name.slice(colon + 1);
    name = name.slice(0, colon);
    if (!TAG.test(tag)) throw new Error("invalid reference format");
  }
  if (digest !== "" && !DIGEST.test(digest)) throw new Error("invalid reference format");
  const { domain, path } = splitDomain(name);
  if (path.split("/").some((part) => !COMPONENT.test(part))) {
    const upper =
      path.toLowerCase() !== path &&
      path
        .toLowerCase()
        .split("/")
        .every((part) => COMPONENT.test(part));
    const words = `invalid reference format: repository name (${path}) must be lowercase`;
    throw new Error(upper ? words : "invalid reference format");
  }
  return { domain, path, tag, digest };
}

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isDomain = first.includes(".") || first.includes(":") || first === "localhost" || first.toLowerCase() !== first;
  if (!isDomain) return { domain: "docker.io", path: slash < 0 ? `library/${name}` : name };
  const domain = first === "index.docker.io" ? "docker.io" : first;
  const path = name.slice(slash + 1);
  return { domain, path: domain === "docker.io" && !path.includes("/") ? `library/${path}` : path };
}

/** "docker.io/library/busybox". */
export function repositoryOf(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

/** As people write it: without the parts that go without saying. */
export function familiarName(reference: ImageReference): string {
  if (reference.domain !== "docker.io") return repositoryOf(reference);
  return reference.path.replace(/^library\/(?=[^/]+$)/, "");
}

/** With "latest" when neither tag nor digest was given. */
export function familiarReference(reference: ImageReference): string {
  if (reference.digest !== "") return `${familiarName(reference)}@${reference.digest}`;
  return `${familiarName(reference)}:${reference.tag || "latest"}`;
}

/** A name in a request's path. */
export function pathSegment(name: string): string {
  return name.replace(/[^0-9A-Za-z\-._~/:@!$&'()*+,;=]/gu, (letter) => encodeURIComponent(letter));
}
