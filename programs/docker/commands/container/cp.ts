// docker cp: files between a container and this machine, as tar archives. The daemon resolves paths inside the
// container; on this side the archive is packed and unpacked by the machine's own tar, run in the folder that was
// named.

import type { PathStat } from "../../../../api/engine/container.ts";
import { decodeUtf8, fromBase64 } from "../../../../base/bytes.ts";
import { messageOf } from "../../../../base/errors.ts";
import { parseJson } from "../../../../base/json.ts";
import type { ClientResponse } from "../../../../wire/http/client.ts";
import type { Cli } from "../../cli.ts";
import type { Command } from "../../command.ts";
import { findProgram } from "../../config/spawned.ts";
import { ExitStatus } from "../../failure.ts";
import { humanSize } from "../../format/units.ts";
import { absolutePath } from "../../options/containerBody.ts";
import { pathSegment } from "../../reference.ts";
import { bodyOfStream } from "../image/archive.ts";

/** Go's os.ModeDir and os.ModeSymlink, as PathStat carries them. */
const MODE_DIRECTORY = 2 ** 31;
const MODE_SYMLINK = 2 ** 27;
const MAX_LINKS = 16;

export const cp: Command = {
  name: "cp",
  summary: "Copy files/folders between a container and the local filesystem",
  usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tdocker cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
  args: [2, 2],
  define(set) {
    const archive = set.bool("archive", "a", "Keep users and groups");
    const follow = set.bool("follow-link", "L", "Follow a symbolic link in the source");
    const quiet = set.bool("quiet", "q", "Do not show progress");
    return async (cli, [source, target]) => {
      if (source === "") throw new ExitStatus(1, "source can not be empty");
      if (target === "") throw new ExitStatus(1, "destination can not be empty");
      const [from, to] = [splitPlace(source!), splitPlace(target!)];
      const options = { archive: archive.value, follow: follow.value, quiet: quiet.value };
      if (from.container !== "" && to.container !== "")
        throw new ExitStatus(1, "copying between containers is not supported");
      if (from.container !== "") return copyOut(cli, from, { path: to.path, ...options });
      if (to.container !== "") return copyIn(cli, from.path, { ...to, ...options });
      throw new ExitStatus(1, "must specify at least one container source");
    };
  },
};

interface Place {
  container: string;
  path: string;
}

interface CopyOptions {
  archive: boolean;
  follow: boolean;
  quiet: boolean;
}

/** "name:/path"; a local path that holds a colon begins with "/" or ".". */
function splitPlace(text: string): Place {
  const colon = text.indexOf(":");
  if (colon <= 0 || text.startsWith("/") || text.startsWith(".")) return { container: "", path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

function baseName(path: string): string {
  return path.replace(/\/+$/, "").replace(/^.*\//, "");
}

function parentOf(path: string): string {
  const slash = path.replace(/\/+$/, "").lastIndexOf("/");
  return slash <= 0 ? "/" : path.slice(0, slash);
}

function archivePath(container: string): string {
  return `/containers/${pathSegment(container)}/archive`;
}

async function statPath(cli: Cli, place: Place): Promise<PathStat> {
  const response = await cli.engine.open("HEAD", archivePath(place.container), { query: { path: place.path } });
  return readStat(response);
}

function readStat(response: ClientResponse): PathStat {
  const bytes = fromBase64(response.headers.get("x-docker-container-path-stat") ?? "");
  if (bytes === null || bytes.length === 0) {
    throw new ExitStatus(
      1,
      "unable to get resource stat from response: unable to decode container path stat header: EOF",
    );
  }
  return parseJson(decodeUtf8(bytes)) as unknown as PathStat;
}

function hasMode(stat: PathStat, bit: number): boolean {
  return Math.floor(stat.mode / bit) % 2 === 1;
}

async function copyOut(cli: Cli, from: Place, to: { path: string } & CopyOptions): Promise<void> {
  let path = from.path;
  if (to.follow) path = await followLink(cli, from);
  const response = await cli.engine.open("GET", archivePath(from.container), { query: { path } });
  const stat = readStat(response);
  if (to.path === "-") {
    for (let piece = await response.body.read(); piece !== null; piece = await response.body.read())
      await cli.out.write(piece);
    return;
  }
  const target = absolutePath(cli.runtime.files.workingDirectory, to.path);
  const isDirectory = hasMode(stat, MODE_DIRECTORY);
  const place = localTarget(cli, { target, given: to.path, isDirectory, source: from.path, name: stat.name });
  // What the archive calls it, and what it shall be called here.
  const rename =
    place.name === stat.name
      ? []
      : ["--transform", `flags=r;s,^${escapePattern(stat.name)}\\(/\\|$\\),${escapeText(place.name)}\\1,`];
  const owner = to.archive ? ["--same-owner"] : ["--no-same-owner"];
  const args = ["-x", "-p", ...owner, ...rename, "-f", "-", "-C", place.folder];
  const child = cli.runtime.spawn(findProgram(cli.runtime, "tar"), { args, stdin: "pipe", stdout: "ignore" });
  let copied = 0;
  for (let piece = await response.body.read(); piece !== null; piece = await response.body.read()) {
    copied += piece.length;
    await child.stdin!.write(piece);
  }
  child.stdin!.close();
  const { exitCode } = await child.wait();
  if (exitCode !== 0) throw new ExitStatus(1, `unpacking to ${target} failed`);
  if (!to.quiet && cli.runtime.terminal.isTerminal(2))
    cli.err.line(`Successfully copied ${humanSize(copied, 3)} to ${target}`);
}

/** Where an archive of `name` is unpacked here, and under which name: the rules of cp -r. */
function localTarget(
  cli: Cli,
  copy: { target: string; given: string; isDirectory: boolean; source: string; name: string },
) {
  const stat = cli.runtime.files.stat(copy.target);
  const contentsOnly = /(^|\/)\.$/.test(copy.source);
  if (stat?.kind === "directory") {
    if (contentsOnly) return { folder: parentOf(copy.target), name: baseName(copy.target) };
    return { folder: copy.target, name: copy.name };
  }
  if (stat !== null && copy.isDirectory) throw new ExitStatus(1, "cannot copy directory");
  if (stat === null && copy.given.endsWith("/") && !copy.isDirectory) {
    throw new ExitStatus(1, `destination directory ${JSON.stringify(copy.given)} must exist`);
  }
  const folder = parentOf(copy.target);
  if (cli.runtime.files.stat(folder)?.kind !== "directory") {
    throw new ExitStatus(1, `invalid output path: directory ${JSON.stringify(folder)} does not exist`);
  }
  return { folder, name: baseName(copy.target) };
}

async function followLink(cli: Cli, from: Place): Promise<string> {
  let path = from.path;
  for (let links = 0; links < MAX_LINKS; links++) {
    const stat = await statPath(cli, { ...from, path });
    if (!hasMode(stat, MODE_SYMLINK) || stat.linkTarget === "") return path;
    path = stat.linkTarget.startsWith("/") ? stat.linkTarget : `${parentOf(path)}/${stat.linkTarget}`;
  }
  throw new ExitStatus(1, `too many links in ${from.path}`);
}

async function copyIn(cli: Cli, source: string, to: Place & CopyOptions): Promise<void> {
  if (source === "-") {
    const target = await containerTarget(cli, to, { isDirectory: false, source });
    if (target.name !== "") throw new ExitStatus(1, `destination "${to.container}:${to.path}" must be a directory`);
    return upload(cli, to, { folder: target.folder, content: bodyOfStream(cli.runtime.stdin) });
  }
  const path = absolutePath(cli.runtime.files.workingDirectory, source);
  const local = cli.runtime.files.stat(path);
  if (local === null) throw new ExitStatus(1, `lstat ${parentOf(path)}/${baseName(path)}: no such file or directory`);
  const target = await containerTarget(cli, to, { isDirectory: local.kind === "directory", source });
  const [folder, name] = /(^|\/)\.$/.test(source) || path === "/" ? [path, "."] : [parentOf(path), baseName(path)];
  const becomes = target.name === "" ? baseName(path) : target.name;
  const rename =
    name === "." || becomes === name
      ? []
      : ["--transform", `flags=r;s,^${escapePattern(name)}\\(/\\|$\\),${escapeText(becomes)}\\1,`];
  const follow = to.follow ? ["-h"] : [];
  const args = ["-c", ...follow, ...rename, "-f", "-", "-C", folder, "--", name];
  const child = cli.runtime.spawn(findProgram(cli.runtime, "tar"), { args, stdin: "ignore", stdout: "pipe" });
  await upload(cli, to, { folder: target.folder, content: bodyOfStream(child.stdout!) });
  const { exitCode } = await child.wait();
  if (exitCode !== 0) throw new ExitStatus(1, `packing ${path} failed`);
  if (!to.quiet && cli.runtime.terminal.isTerminal(2))
    cli.err.line(`Successfully copied to ${to.container}:${to.path}`);
}

async function upload(
  cli: Cli,
  to: Place & CopyOptions,
  what: { folder: string; content: ReturnType<typeof bodyOfStream> },
) {
  const query = { copyUIDGID: to.archive ? "true" : null, noOverwriteDirNonDir: "true", path: what.folder };
  await cli.engine.json("PUT", archivePath(to.container), {
    query,
    body: { content: what.content, type: "application/x-tar" },
  });
}

/** The folder of the container to unpack in, and the new name; "" for the source's own. */
async function containerTarget(cli: Cli, to: Place, copy: { isDirectory: boolean; source: string }) {
  let stat: PathStat | null = null;
  let path = to.path.startsWith("/") ? to.path : `/${to.path}`;
  try {
    stat = await statPath(cli, { ...to, path });
    if (hasMode(stat, MODE_SYMLINK)) {
      path = stat.linkTarget.startsWith("/") ? stat.linkTarget : `${parentOf(path)}/${stat.linkTarget}`;
      stat = await statPath(cli, { ...to, path }).catch(() => null);
    }
  } catch (thrown) {
    if (/No such container/.test(messageOf(thrown)) || !("status" in (thrown as object))) throw thrown;
  }
  if (stat !== null && hasMode(stat, MODE_DIRECTORY)) return { folder: path, name: "" };
  if (stat !== null && copy.isDirectory) throw new ExitStatus(1, "cannot copy directory");
  if (stat === null && to.path.endsWith("/") && !copy.isDirectory) {
    throw new ExitStatus(1, `no such directory`);
  }
  return { folder: parentOf(path), name: baseName(path) };
}

function escapePattern(name: string): string {
  return name.replace(/[\\.*^$[\],]/g, (letter) => `\\${letter}`);
}

function escapeText(name: string): string {
  return name.replace(/[\\&,]/g, (letter) => `\\${letter}`);
}
