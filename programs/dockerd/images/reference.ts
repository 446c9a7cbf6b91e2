// Names of images: "busybox" is docker.io/library/busybox:latest. containerd holds the long form, people see the short
// one. Called wherever a name comes in or goes out.

import { Failure } from "../../../base/errors.ts";

export interface Reference {
  /** docker.io/library/busybox */
  repository: string;
  /** Null when there is a digest, or when the name was asked for without one. */
  tag: string | null;
  digest: string | null;
}

const LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?";
const DOMAIN = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?$`);
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[\w][\w.-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const MAX_NAME_LENGTH = 255; // characters of the repository

/** Reads a name as people write it. Throws invalid_argument with the distribution library's words. */
export function parseReference(text: string): Reference {
  if (text === "") throw invalid(text, "invalid reference format");
  if (/^[0-9a-f]{64}$/.test(text)) {
    throw invalid(text, `invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const at = text.indexOf("@");
  const digest = at < 0 ? null : text.slice(at + 1);
  if (digest !== null && !DIGEST.test(digest)) throw invalid(text, "invalid reference format");
  let name = at < 0 ? text : text.slice(0, at);
  const colon = name.lastIndexOf(":");
  let tag: string | null = null;
  if (colon > name.lastIndexOf("/")) {
    tag = name.slice(colon + 1);
    name = name.slice(0, colon);
    if (!TAG.test(tag)) throw invalid(text, "invalid reference format");
  }
  const { domain, path } = splitDomain(name);
  if (path !== path.toLowerCase()) {
    throw invalid(text, `invalid reference format: repository name (${path}) must be lowercase`);
  }
  if (!DOMAIN.test(domain) || !PATH.test(path)) throw invalid(text, "invalid reference format");
  const repository = `${domain}/${path}`;
  if (repository.length > MAX_NAME_LENGTH) {
    throw invalid(text, `repository name must not be more than ${MAX_NAME_LENGTH} characters`);
  }
  return { repository, tag, digest };
}

/** As parseReference, with "latest" where nothing is said. */
export function parseTagged(text: string): Reference {
  const reference = parseReference(text);
  return reference.tag === null && reference.digest === null ? { ...reference, tag: "latest" } : reference;
}

/** The name that containerd's image store knows it by. */
export function storeName(reference: Reference): string {
  if (reference.tag !== null) return `${reference.repository}:${reference.tag}`;
  return `${reference.repository}@${reference.digest ?? ""}`;
}

/** docker.io/library/busybox:latest → busybox:latest */
export function familiarName(name: string): string {
  const short = name.startsWith("docker.io/") ? name.slice("docker.io/".length) : name;
  return short.startsWith("library/") ? short.slice("library/".length) : short;
}

/** Splits a stored name; null when it is none of ours (another tool may name images as it likes). */
export function splitStoreName(name: string): Reference | null {
  try {
    return parseReference(name);
  } catch {
    return null;
  }
}

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isDomain = first !== "" && (/[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase());
  let domain = isDomain ? first : "docker.io";
  let path = isDomain ? name.slice(slash + 1) : name;
  if (domain === "index.docker.io") domain = "docker.io";
  if (domain === "docker.io" && !path.includes("/")) path = `library/${path}`;
  return { domain, path };
}

function invalid(text: string, message: string): Failure {
  return new Failure("invalid_argument", message, { facts: { reference: text } });
}
