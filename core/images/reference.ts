// Image references: what a person types, and the full name under which an image is stored. Portable.
//
//     busybox            ──▶ docker.io/library/busybox:latest
//     me/app:1@sha256:…  ──▶ docker.io/me/app:1@sha256:…
//     host:5000/app      ──▶ host:5000/app:latest
//
// Grammar: github.com/distribution/reference, whose complaints are repeated word for word.

import { Failure } from "../../base/errors.ts";

const DEFAULT_DOMAIN = "docker.io";
const OFFICIAL = "library";
const NAME_LIMIT = 255; // characters of a repository's name
const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const LABEL = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const DOMAIN = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const TAG = /^[\w][\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;

export interface Reference {
  /** `docker.io/library/busybox` */
  readonly repository: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

/** Reads what a person typed. No tag is added. */
export function parseReference(text: string): Reference {
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const at = text.indexOf("@");
  const digest = at < 0 ? null : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.lastIndexOf(":");
  const tagged = colon > named.lastIndexOf("/");
  const tag = tagged ? named.slice(colon + 1) : null;
  const repository = normalizeRepository(tagged ? named.slice(0, colon) : named);
  const [domain, path] = splitDomain(repository);
  if (path.toLowerCase() !== path && PATH.test(path.toLowerCase())) {
    throw invalid(`invalid reference format: repository name (${path}) must be lowercase`);
  }
  const good = DOMAIN.test(domain) && PATH.test(path) && (tag === null || TAG.test(tag));
  if (!good || (digest !== null && !DIGEST.test(digest))) throw invalid("invalid reference format");
  if (repository.length > NAME_LIMIT) {
    throw invalid(`repository name must not be more than ${NAME_LIMIT} characters`);
  }
  return { repository, tag, digest };
}

/** The full text; "latest" when it names neither tag nor digest. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag ?? (reference.digest === null ? "latest" : null);
  return (
    reference.repository + (tag === null ? "" : `:${tag}`) + (reference.digest === null ? "" : `@${reference.digest}`)
  );
}

/** `docker.io/library/busybox:latest` for `busybox`. */
export function normalizeReference(text: string): string {
  return formatReference(parseReference(text));
}

/** As people know it: without `docker.io/library/`. */
export function familiarRepository(repository: string): string {
  const [domain, path] = splitDomain(repository);
  if (domain !== DEFAULT_DOMAIN) return repository;
  return path.startsWith(`${OFFICIAL}/`) && !path.slice(OFFICIAL.length + 1).includes("/")
    ? path.slice(OFFICIAL.length + 1)
    : path;
}

function splitDomain(repository: string): [domain: string, path: string] {
  const slash = repository.indexOf("/");
  return [repository.slice(0, slash), repository.slice(slash + 1)];
}

function normalizeRepository(name: string): string {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isDomain = /[.:]/.test(first) || first === "localhost" || first.toLowerCase() !== first;
  const domain = isDomain ? first : DEFAULT_DOMAIN;
  const path = isDomain ? name.slice(slash + 1) : name;
  const canonical = domain === "index.docker.io" ? DEFAULT_DOMAIN : domain;
  return canonical === DEFAULT_DOMAIN && !path.includes("/")
    ? `${canonical}/${OFFICIAL}/${path}`
    : `${canonical}/${path}`;
}

function invalid(reason: string): Failure {
  return new Failure("invalid_argument", reason);
}
