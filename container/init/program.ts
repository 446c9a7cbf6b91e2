// Finding the program and its environment inside the container, as Go's exec.LookPath finds it, because the words of
// its failures are what upper layers turn into exit codes 126 and 127.

import { decodeUtf8 } from "../../base/bytes.ts";
import { Failure } from "../../base/errors.ts";
import { quote } from "../../base/flags/go.ts";
import { errnoOf, errnoSentence } from "../../linux/errno.ts";
import * as fs from "../../linux/fd.ts";
import type { ProcessPlan } from "../plan.ts";

/** Bytes of the container's /etc/passwd that are looked at. */
const PASSWD_LIMIT = 1 << 20;

export function findProgram(name: string, env: readonly string[]): string {
  if (name.includes("/")) {
    const wrong = whyNot(name);
    if (wrong === null) return name;
    throw new Failure("failed_precondition", `exec: ${quote(name)}: ${wrong}`);
  }
  const path = env.findLast((entry) => entry.startsWith("PATH="))?.slice(5) ?? "";
  for (const directory of name === "" ? [] : path.split(":")) {
    const candidate = `${directory === "" ? "." : directory.replace(/\/+$/, "")}/${name}`;
    if (whyNot(candidate) === null) return candidate;
  }
  throw new Failure("not_found", `exec: ${quote(name)}: executable file not found in $PATH`);
}

function whyNot(path: string): string | null {
  let found: fs.Stat | null;
  try {
    found = fs.stat(path);
  } catch (thrown) {
    return `stat ${path}: ${errnoSentence(errnoOf(thrown))}`;
  }
  if (found === null) return `stat ${path}: no such file or directory`;
  const directory = (found.mode & fs.S_IFMT) === fs.S_IFDIR;
  return directory || (found.mode & 0o111) === 0 ? "permission denied" : null;
}

/** Each name once, with its last value; HOME is filled in where it is missing or empty. */
export function environmentOf(process: ProcessPlan): string[] {
  const given = [...process.spec.env, ...process.extraEnvironment];
  const last = new Map<string, number>();
  given.forEach((entry, at) => {
    last.set(nameIn(entry), at);
  });
  const env = given.filter((entry, at) => last.get(nameIn(entry)) === at && entry !== "HOME=");
  const home = last.get("HOME");
  if (home === undefined || given[home] === "HOME=") env.push(`HOME=${homeOf(process.spec.user.uid)}`);
  return env;
}

/** Of "NAME=value". */
function nameIn(entry: string): string {
  const at = entry.indexOf("=");
  if (at < 0) throw new Failure("invalid_argument", "invalid environment variable: missing '='");
  if (at === 0) throw new Failure("invalid_argument", "invalid environment variable: name cannot be empty");
  const name = entry.slice(0, at);
  if (entry.includes("\0")) {
    throw new Failure("invalid_argument", `invalid environment variable ${quote(name)}: contains nul byte (\\x00)`);
  }
  return name;
}

/** From the container's passwd file; "/" when that does not say. */
function homeOf(uid: number): string {
  try {
    using file = fs.openIfThere("/etc/passwd", fs.O_RDONLY | fs.O_NONBLOCK);
    if (file === null) return "/";
    if ((fs.statFd(file.number).mode & fs.S_IFMT) !== fs.S_IFREG) return "/";
    for (const line of decodeUtf8(fs.readAll(file.number, PASSWD_LIMIT)).split("\n")) {
      const fields = line.split(":");
      if (fields[2] === String(uid) && fields[5] !== undefined && fields[5] !== "") return fields[5];
    }
  } catch {
    // No file, or not a readable one: the default is right.
  }
  return "/";
}
