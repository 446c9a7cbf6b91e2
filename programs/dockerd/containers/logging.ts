// The log of a container: where it is, what its driver's options make of it, who writes it, and the compression of its
// rotated files while it runs.

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Engine } from "../engine.ts";
import { Compressor } from "../output/compress.ts";
import type { LogSource } from "../output/logread.ts";
import { LogWriter, replaceRotated } from "../output/logwriter.ts";
import { formatOf, type LogSettings, logAttributes, logPathOf, readLogSettings } from "../output/options.ts";
import type { Container } from "./container.ts";
import type { ContainerRecord } from "./record.ts";

export interface ContainerLog {
  path: string;
  settings: LogSettings;
  attrs: Record<string, string>;
}

/** Null for a driver that keeps nothing. Throws where an option's value is wrong. Makes the folder. */
export function logOf(engine: Engine, record: ContainerRecord): ContainerLog | null {
  const settings = readLogSettings(record.logDriver, record.logOptions);
  const path = logPathOf(engine.settings.dataRoot, record);
  if (settings === null || path === null) return null;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  return { path, settings, attrs: logAttributes(record, path) };
}

/** For readers; null where there is nothing to read. */
export function logSourceOf(engine: Engine, record: ContainerRecord): LogSource | null {
  const path = logPathOf(engine.settings.dataRoot, record);
  if (path === null) return null;
  return { path, format: formatOf(record.logDriver === "local" ? "local" : "json-file") };
}

/** Where dockerd itself reads the container's output. */
export function openLogWriter(engine: Engine, record: ContainerRecord): LogWriter | null {
  const log = logOf(engine, record);
  if (log === null) return null;
  return new LogWriter(log.path, log.settings, formatOf(log.settings.driver, log.attrs));
}

/** While the container runs, if its options ask for it. */
export function watchRotation(engine: Engine, container: Container): void {
  const log = logOf(engine, container.record);
  if (log === null || !log.settings.compress) return;
  container.compressor ??= new Compressor({
    path: log.path,
    format: formatOf(log.settings.driver),
    warn: (sentence) => engine.log.warn(`container ${container.id}: ${sentence}`),
    async replace(inode) {
      // The shim that writes the log is the only one who renames its files. Nobody else does it in the middle of this.
      const { streams } = container;
      if (streams?.replaceRotated !== undefined) return streams.replaceRotated(inode);
      return replaceRotated(log.path, inode, log.settings.maxFile);
    },
  });
  container.compressor.watch();
}
