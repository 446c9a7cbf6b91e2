// What the caller of a checkpoint or a restore may ask: the flags of both commands, already read. Made by
// programs/runc; the stages of this folder turn it into criu's options.

import { CriuCgMode, CriuOpts } from "../../api/criu/gen/rpc.ts";
import { Failure } from "../../base/errors.ts";
import * as fs from "../../linux/fd.ts";
import { NAMESPACES } from "../../linux/namespace.ts";

/** criu's own file of settings, which override what is asked here; the annotation names another for one container. */
const DEFAULT_CONFIG = "/etc/criu/runc.conf";
const CONFIG_ANNOTATION = "org.criu.config";
/** criu's "debug": its log is what explains a failure. */
const LOG_LEVEL = 4;
const DIRECTORY_MODE = 0o700;

export interface PageServer {
  address: string;
  port: number;
}

export interface CheckpointSettings {
  /** Absolute. */
  imagePath: string;
  /** Where criu works and writes its log; "" is the image path. */
  workPath: string;
  /** Of an earlier pre-dump, relative to the image path; "" without one. */
  parentPath: string;
  leaveRunning: boolean;
  tcpEstablished: boolean;
  tcpSkipInFlight: boolean;
  linkRemap: boolean;
  externalUnixSockets: boolean;
  shellJob: boolean;
  fileLocks: boolean;
  preDump: boolean;
  autoDedup: boolean;
  lazyPages: boolean;
  /** Told with a zero byte that lazy pages can be fetched, then closed; -1 is nobody. */
  statusFd: number;
  pageServer: PageServer | null;
  /** "", soft, full, strict or ignore. */
  cgroupsMode: string;
  lsmProfile: string;
  lsmMountContext: string;
}

/** Where what is done is told. */
export interface Voice {
  warn(message: string): void;
  /** Null when nobody reads it. */
  debug: ((message: string) => void) | null;
}

const MODES: Readonly<Record<string, number>> = {
  "": CriuCgMode.DEFAULT,
  soft: CriuCgMode.SOFT,
  full: CriuCgMode.FULL,
  strict: CriuCgMode.STRICT,
  ignore: CriuCgMode.IGNORE,
};

export function cgroupModeOf(word: string): number {
  const mode = Object.hasOwn(MODES, word) ? MODES[word] : undefined;
  if (mode === undefined) throw new Failure("invalid_argument", "invalid manage-cgroups-mode value");
  return mode;
}

/** The directories criu is given; a log of it lies in the last. */
export interface Directories extends Disposable {
  images: number;
  /** Null: criu's own choice, the image directory. */
  work: number | null;
  logs: string;
}

/** `make`: a checkpoint makes what is missing, a restore only its working directory. */
export function openDirectories(settings: CheckpointSettings, make: boolean): Directories {
  if (make) fs.makeDirectories(settings.imagePath, DIRECTORY_MODE);
  const images = fs.open(settings.imagePath, fs.O_RDONLY | fs.O_DIRECTORY);
  let work: fs.Fd | null = null;
  if (settings.workPath !== "") {
    fs.makeDirectories(settings.workPath, DIRECTORY_MODE);
    work = fs.open(settings.workPath, fs.O_RDONLY | fs.O_DIRECTORY);
  }
  return {
    images: images.number,
    work: work === null ? null : work.number,
    logs: work === null ? settings.imagePath : settings.workPath,
    [Symbol.dispose]() {
      images.close();
      work?.close();
    },
  };
}

/** What a checkpoint and a restore ask alike. Networks are made by whoever made the namespace, never by criu. */
export function commonOptions(
  settings: CheckpointSettings,
  place: { directories: Directories; logFile: string; annotations: Readonly<Record<string, string>> },
): CriuOpts {
  const { directories, logFile, annotations } = place;
  const named = annotations[CONFIG_ANNOTATION];
  return CriuOpts.create({
    imagesDirFd: directories.images,
    workDirFd: directories.work,
    logLevel: LOG_LEVEL,
    logFile,
    // Replaced by the mode in newer ones, still asked for by older.
    manageCgroups: true,
    manageCgroupsMode: cgroupModeOf(settings.cgroupsMode),
    notifyScripts: true,
    shellJob: settings.shellJob,
    tcpEstablished: settings.tcpEstablished,
    extUnixSk: settings.externalUnixSockets,
    fileLocks: settings.fileLocks,
    emptyNs: NAMESPACES.network.flag,
    orphanPtsMaster: true,
    autoDedup: settings.autoDedup,
    lazyPages: settings.lazyPages,
    // An annotation without a text: no file at all.
    configFile: named === undefined ? DEFAULT_CONFIG : named === "" ? null : named,
  });
}
