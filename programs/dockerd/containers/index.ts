// All containers by id, name and beginning of an id, in Docker's order of trust: full id, name, then a prefix that only
// one id has. Also reserves names, so that two creates cannot take the same one.

import { NO_SUCH } from "../../../api/engine/messages.ts";
import { Failure } from "../../../base/errors.ts";
import type { Container } from "./container.ts";

export class ContainerIndex {
  readonly #byId = new Map<string, Container>();
  /** Name to id; an id may be here before its container is. */
  readonly #names = new Map<string, string>();

  all(): Container[] {
    return [...this.#byId.values()];
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  get(id: string): Container | null {
    return this.#byId.get(id) ?? null;
  }

  nameTaken(name: string): boolean {
    return this.#names.has(name);
  }

  reserve(name: string, id: string): void {
    const holder = this.#names.get(name);
    if (holder !== undefined && holder !== id) {
      throw new Failure(
        "already_exists",
        `Conflict. The container name "/${name}" is already in use by container "${holder}". ` +
          "You have to remove (or rename) that container to be able to reuse that name.",
      );
    }
    this.#names.set(name, id);
  }

  release(name: string, id: string): void {
    if (this.#names.get(name) === id) this.#names.delete(name);
  }

  add(container: Container): void {
    this.reserve(container.record.name, container.id);
    this.#byId.set(container.id, container);
  }

  remove(container: Container): void {
    this.#byId.delete(container.id);
    this.release(container.record.name, container.id);
  }

  /** Throws not_found, or invalid_argument when a prefix fits several. */
  find(reference: string): Container {
    const text = reference.startsWith("/") ? reference.slice(1) : reference;
    const exact = this.#byId.get(text);
    if (exact !== undefined) return exact;
    const named = this.#byId.get(this.#names.get(text) ?? "");
    if (named !== undefined) return named;
    const found = text === "" ? [] : this.all().filter((container) => container.id.startsWith(text));
    if (found.length === 1) return found[0]!;
    if (found.length > 1) {
      throw new Failure("invalid_argument", `multiple IDs found with provided prefix: ${text}`);
    }
    throw new Failure("not_found", NO_SUCH.container(reference));
  }
}
