// containerd's own image store: rows of the metadata database.

import { Failure } from "../../base/errors.ts";
import { fieldReader, parseFilters } from "../filters/filter.ts";
import { addToLease, type LeaseTable } from "../leases/store.ts";
import { type Database, defineTable, type Table } from "../metadata/database.ts";
import { checkDigest, checkLabels, type Descriptor, mergeLabels, type Scope, withoutEmpty } from "../values.ts";
import type { Image, ImageStore } from "./images.ts";

export const imageTable = defineTable<Image>("images");

export interface ImageEvents {
  created(namespace: string, image: Image): void;
  updated(namespace: string, image: Image): void;
  deleted(namespace: string, name: string): void;
}

type Wanted = Pick<Image, "name" | "target" | "labels">;

export class Images {
  readonly table: Table<Image>;
  private readonly database: Database;
  private readonly leases: LeaseTable;
  private readonly events: ImageEvents;
  private readonly collect: (wait: boolean) => Promise<void>;

  constructor(parts: {
    database: Database;
    leases: LeaseTable;
    events: ImageEvents;
    collect: (wait: boolean) => Promise<void>;
  }) {
    this.database = parts.database;
    this.table = parts.database.table(imageTable);
    this.leases = parts.leases;
    this.events = parts.events;
    this.collect = parts.collect;
  }

  scoped(scope: Scope): ImageStore {
    return {
      get: async (name) => this.get(scope.namespace, name),
      list: async (filters) => this.list(scope.namespace, filters),
      create: (image) => this.create(scope, image),
      update: (image, fields) => this.update(scope, image, fields),
      delete: (name, options) => this.delete(scope.namespace, name, options.sync),
    };
  }

  private get(namespace: string, name: string): Image {
    const image = this.table.get(namespace, name);
    if (image === null) throw new Failure("not_found", `image ${JSON.stringify(name)}: not found`);
    return image;
  }

  private list(namespace: string, filters: readonly string[]): Image[] {
    const filter = parseFilters(filters);
    const all = this.table.list(namespace).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    return all.filter((image) => filter(imageFields(image)));
  }

  private async create(scope: Scope, wanted: Wanted): Promise<Image> {
    check(wanted);
    const now = Date.now();
    const { name, target } = wanted;
    const image: Image = { name, target, labels: withoutEmpty(wanted.labels), createdAt: now, updatedAt: now };
    await this.database.change("acknowledged", (change) => {
      if (this.table.get(scope.namespace, name) !== null) {
        throw new Failure("already_exists", `image ${JSON.stringify(name)}: already exists`);
      }
      change.put(this.table, [scope.namespace, name], image);
      addToLease(this.leases, change, { scope, type: "images", id: name });
    });
    this.events.created(scope.namespace, image);
    return image;
  }

  private async update(scope: Scope, wanted: Wanted, fields: readonly string[] | null): Promise<Image> {
    let image = this.get(scope.namespace, wanted.name);
    let target: Descriptor = image.target;
    for (const field of fields ?? []) {
      if (field === "labels" || field.startsWith("labels.") || field === "target") continue;
      if (field.startsWith("annotations")) continue;
      throw new Failure("invalid_argument", `cannot update ${field} field on image ${JSON.stringify(wanted.name)}`);
    }
    if (fields === null || fields.length === 0 || fields.includes("target")) target = wanted.target;
    const labelled = fields === null || fields.some((field) => field.startsWith("labels"));
    const labels = labelled ? mergeLabels(image.labels, wanted.labels, fields) : image.labels;
    image = { ...image, target, labels, updatedAt: Date.now() };
    check(image);
    const next = image;
    await this.database.change("acknowledged", (change) => change.put(this.table, [scope.namespace, next.name], next));
    this.events.updated(scope.namespace, next);
    return next;
  }

  private async delete(namespace: string, name: string, sync: boolean): Promise<void> {
    this.get(namespace, name);
    await this.database.change("acknowledged", (change) => change.remove(this.table, [namespace, name]));
    this.events.deleted(namespace, name);
    await this.collect(sync);
  }
}

function imageFields(image: Image) {
  const { target } = image;
  const fields = { name: image.name, "target.digest": target.digest, "target.mediatype": target.mediaType };
  return fieldReader(fields, image.labels);
}

function check(image: Wanted): void {
  if (image.name === "") throw new Failure("invalid_argument", "image name must not be empty: invalid argument");
  checkLabels(image.labels);
  checkDigest(image.target.digest);
  if (image.target.size < 1) throw new Failure("invalid_argument", "Target.Size must be > 0: invalid argument");
  if (image.target.mediaType === "") {
    throw new Failure("invalid_argument", "Target.MediaType must be set: invalid argument");
  }
}
