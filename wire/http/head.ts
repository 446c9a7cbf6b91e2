// The first line and the headers of a message: bytes to values and back. Strict where a lenient reader could be made to
// see other message borders than its neighbour does: only CRLF ends a line, no folding, no space before a colon.

import { type Bytes, decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { type HeaderLine, HeaderList } from "./headers.ts";
import { MAX_HEADERS } from "./limits.ts";

export interface RequestHead {
  method: string;
  /** As it stands in the request line: path and query, still percent-encoded. */
  target: string;
  /** 0 for HTTP/1.0, 1 for HTTP/1.1. */
  minor: 0 | 1;
  headers: HeaderList;
}

export interface ResponseHead {
  status: number;
  reason: string;
  minor: 0 | 1;
  headers: HeaderList;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FORBIDDEN_IN_VALUE = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** `bytes` end with the empty line. Throws Failure "invalid_argument" with the status to answer in facts. */
export function parseRequestHead(bytes: Uint8Array): RequestHead {
  const lines = splitLines(bytes);
  const first = lines[0]!;
  const parts = first.split(" ");
  if (parts.length !== 3) throw malformed("malformed HTTP request");
  const [method, target, version] = parts as [string, string, string];
  if (!TOKEN.test(method)) throw malformed("invalid method");
  if (target === "" || /[\u0000-\u0020\u007f]/.test(target)) throw malformed("invalid request target");
  return { method, target, minor: parseVersion(version), headers: parseHeaders(lines) };
}

export function parseResponseHead(bytes: Uint8Array): ResponseHead {
  const lines = splitLines(bytes);
  const match = /^(HTTP\/\S+) (\d{3})(?: (.*))?$/s.exec(lines[0]!);
  if (match === null) throw malformed("malformed HTTP response");
  const minor = parseVersion(match[1]!);
  return { status: Number(match[2]), reason: match[3] ?? "", minor, headers: parseHeaders(lines) };
}

export function formatRequestHead(method: string, target: string, headers: Iterable<HeaderLine>): Bytes {
  if (!TOKEN.test(method) || target === "" || /[\u0000-\u0020\u007f]/.test(target)) {
    throw new Failure("invalid_argument", "invalid request line");
  }
  return encodeUtf8(`${method} ${target} HTTP/1.1\r\n${formatHeaders(headers)}`);
}

export function formatResponseHead(status: number, headers: Iterable<HeaderLine>): Bytes {
  return encodeUtf8(`HTTP/1.1 ${status} ${REASONS[status] ?? "Status"}\r\n${formatHeaders(headers)}`);
}

/** A Failure for a message no reader should accept; `status` is what a server answers. */
export function malformed(message: string, status = 400): Failure {
  return new Failure("invalid_argument", message, { facts: { status } });
}

function formatHeaders(headers: Iterable<HeaderLine>): string {
  let text = "";
  for (const [name, value] of headers) {
    if (!TOKEN.test(name) || FORBIDDEN_IN_VALUE.test(value)) {
      throw new Failure("invalid_argument", `invalid header field ${JSON.stringify(name)}`);
    }
    text += `${name}: ${value}\r\n`;
  }
  return `${text}\r\n`;
}

function splitLines(bytes: Uint8Array): string[] {
  const lines = decodeUtf8(bytes).split("\r\n");
  if (lines[0] === "") lines.shift(); // one empty line before a message is allowed (RFC 9112, 2.2)
  lines.length -= 2;
  if (lines.length === 0) throw malformed("empty HTTP message head");
  return lines;
}

function parseVersion(version: string): 0 | 1 {
  if (version === "HTTP/1.1") return 1;
  if (version === "HTTP/1.0") return 0;
  if (!/^HTTP\/\d+\.\d+$/.test(version)) throw malformed("malformed HTTP version");
  throw malformed("unsupported protocol version", 505);
}

function parseHeaders(lines: readonly string[]): HeaderList {
  if (lines.length - 1 > MAX_HEADERS) throw malformed("too many header fields", 431);
  const headers = new HeaderList();
  for (let at = 1; at < lines.length; at++) {
    const line = lines[at]!;
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    if (colon <= 0 || !TOKEN.test(name)) throw malformed("invalid header name");
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "");
    if (FORBIDDEN_IN_VALUE.test(value)) throw malformed("invalid header value");
    headers.add(name, value);
  }
  return headers;
}

const REASONS: Readonly<Record<number, string>> = {
  100: "Continue",
  101: "UPGRADED", // Docker's word; clients look at the number only
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  413: "Request Entity Too Large",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};
