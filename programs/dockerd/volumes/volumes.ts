// Volumes of the local driver: a folder /volumes/<name>/_data and a row. Containers hold them by name; a volume in use
// cannot be removed. Its first use by a container copies what the image has at that place (copyup.ts).

import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "../../../base/errors.ts";
import { type Database, defineTable, type Table } from "../../../core/metadata/database.ts";
import type { Dictionary } from "../containers/config.ts";
import { nowText } from "../containers/record.ts";
import type { Events } from "../system/events.ts";

export interface VolumeRecord {
  name: string;
  createdAt: string;
  labels: Dictionary;
  options: Dictionary;
  anonymous: boolean;
}

export interface Volume extends VolumeRecord {
  mountpoint: string;
}

export interface VolumeRequest {
  driver: string;
  options?: Dictionary;
  labels?: Dictionary;
}

export const volumeTable = defineTable<VolumeRecord>("volumes");

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const MAX_NAME = 255; // bytes of a file name
const ANONYMOUS_LABEL = "com.docker.volume.anonymous";
const SPACE = "local";

export class Volumes {
  readonly #directory: string;
  readonly #database: Database;
  readonly #table: Table<VolumeRecord>;
  readonly #events: Events;
  /** Names of volumes that containers hold, asked for on each removal. */
  readonly #users: (name: string) => string[];

  constructor(parts: {
    directory: string;
    database: Database;
    events: Events;
    users: (name: string) => string[];
  }) {
    this.#directory = parts.directory;
    this.#database = parts.database;
    this.#table = parts.database.table(volumeTable);
    this.#events = parts.events;
    this.#users = parts.users;
    mkdirSync(this.#directory, { recursive: true, mode: 0o701 });
  }

  list(): Volume[] {
    return this.#table.list(SPACE).map((record) => this.#withPath(record));
  }

  find(name: string): Volume {
    const record = this.#table.get(SPACE, name);
    if (record === null) throw new Failure("not_found", `get ${name}: no such volume`);
    return this.#withPath(record);
  }

  users(name: string): string[] {
    return this.#users(name);
  }

  createAnonymous(request: VolumeRequest): Promise<Volume> {
    const name = createHash("sha256").update(randomBytes(32)).digest("hex");
    const labels = { ...request.labels, [ANONYMOUS_LABEL]: "" };
    return this.#create(name, { ...request, labels }, true);
  }

  /** Gives the volume of that name, made if it is new. */
  createFor(name: string, request: VolumeRequest): Promise<Volume> {
    return this.#create(name, request, false);
  }

  async remove(name: string, force: boolean): Promise<void> {
    const record = this.#table.get(SPACE, name);
    if (record === null) {
      if (force) return;
      throw new Failure("not_found", `get ${name}: no such volume`);
    }
    const users = this.#users(name);
    if (users.length > 0) {
      throw new Failure("failed_precondition", `remove ${name}: volume is in use - [${users.join(", ")}]`);
    }
    // The row goes first: a folder without a row is swept at start, a row without its folder would lie.
    await this.#database.change("acknowledged", (change) => change.remove(this.#table, [SPACE, name]));
    rmSync(join(this.#directory, name), { recursive: true, force: true });
    this.#events.emit("volume", "destroy", { id: name, attributes: { driver: "local" } });
  }

  async #create(name: string, request: VolumeRequest, anonymous: boolean): Promise<Volume> {
    if (request.driver !== "" && request.driver !== "local") {
      throw new Failure(
        "not_found",
        `create ${name}: error looking up volume plugin ${request.driver}: plugin "${request.driver}" not found`,
      );
    }
    if (!NAME.test(name) || name.length < 2 || name.length > MAX_NAME) {
      throw new Failure(
        "invalid_argument",
        `create ${name}: "${name}" includes invalid characters for a local volume name, only ` +
          '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path',
      );
    }
    const options = request.options ?? {};
    if (Object.keys(options).length > 0) {
      throw new Failure("unimplemented", `create ${name}: options of the local volume driver are not supported yet`);
    }
    const before = this.#table.get(SPACE, name);
    if (before !== null) return this.#withPath(before);
    const record = { name, createdAt: nowText(), labels: request.labels ?? {}, options, anonymous };
    mkdirSync(join(this.#directory, name), { recursive: true, mode: 0o701 });
    mkdirSync(join(this.#directory, name, "_data"), { recursive: true, mode: 0o755 });
    await this.#database.change(anonymous ? "running" : "acknowledged", (change) =>
      change.put(this.#table, [SPACE, name], record),
    );
    this.#events.emit("volume", "create", { id: name, attributes: { driver: "local" } });
    return this.#withPath(record);
  }

  #withPath(record: VolumeRecord): Volume {
    return { ...record, mountpoint: join(this.#directory, record.name, "_data") };
  }
}
