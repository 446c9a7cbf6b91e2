// POST /containers/{id}/rename.

import { Failure } from "../../../base/errors.ts";
import { type Engine, ROWS } from "../engine.ts";
import type { Container } from "./container.ts";
import { emitContainer } from "./emit.ts";
import { checkName } from "./names.ts";
import { durabilityOf } from "./record.ts";

export function renameContainer(engine: Engine, container: Container, wanted: string): Promise<void> {
  const name = wanted.replace(/^\//, "");
  return container.exclusive(async () => {
    if (name === "") throw new Failure("invalid_argument", "Neither old nor new names may be empty");
    const { record } = container;
    if (name === record.name) {
      throw new Failure("invalid_argument", "Renaming a container with the same name as its current name");
    }
    checkName(name);
    engine.containers.reserve(name, container.id);
    const next = { ...record, name };
    try {
      await engine.database.change(durabilityOf(record), (change) => {
        change.put(engine.records, [ROWS, container.id], next);
      });
    } catch (thrown) {
      engine.containers.release(name, container.id);
      throw thrown;
    }
    engine.containers.release(record.name, container.id);
    container.record = next;
    emitContainer(engine, container, "rename", { oldName: `/${record.name}` });
  });
}
