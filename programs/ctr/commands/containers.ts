// ctr containers: records of what could run.

import { decodeUtf8 } from "../../../base/bytes.ts";
import { codeOf, Failure } from "../../../base/errors.ts";
import { parseJson } from "../../../base/json.ts";
import type { Container } from "../../../core/containers/containers.ts";
import type { ExactTimes } from "../call/exact.ts";
import type { Session } from "../call/session.ts";
import type { Command } from "../cli/command.ts";
import { sentenceOf } from "../cli/errors.ts";
import { bool } from "../cli/flag.ts";
import { formatLabels, goTime, labelFields, parseLabels, printedJson } from "../cli/format.ts";
import { print } from "../cli/invocation.ts";
import { log } from "../cli/log.ts";
import { formatTable, WIDE } from "../cli/table.ts";
import { CONTAINER_FLAGS } from "../run/flags.ts";

const NO_ID = "container id must be provided: invalid argument";

const CREATE: Command = {
  names: ["create"],
  usage: "create container",
  argsUsage: "[flags] Image|RootFS CONTAINER [COMMAND] [ARG...]",
  flags: CONTAINER_FLAGS,
  async action(call) {
    const { createContainer, namedBy } = await import("../run/create.ts");
    namedBy(call);
    await createContainer(call, await call.session());
  },
};

const LIST: Command = {
  names: ["list", "ls"],
  usage: "list containers",
  argsUsage: "[flags] [<filter>, ...]",
  flags: [bool("quiet, q", "print only the container id")],
  async action(call) {
    const { nouns } = await call.session();
    const all = await nouns.containers.list(call.args);
    if (call.bool("quiet")) {
      print(all.map(({ id }) => `${id}\n`).join(""));
      return;
    }
    const rows = all.map(({ id, image, runtime }) => `${id}\t${image || "-"}\t${runtime.name}\t\n`);
    print(formatTable(`CONTAINER\tIMAGE\tRUNTIME\t\n${rows.join("")}`, WIDE));
  },
};

const DELETE: Command = {
  names: ["delete", "del", "remove", "rm"],
  usage: "delete one or more existing containers",
  argsUsage: "[flags] CONTAINER [CONTAINER, ...]",
  flags: [bool("keep-snapshot", "do not clean up snapshot with container")],
  async action(call) {
    if (call.args.length === 0) {
      throw new Failure("invalid_argument", "must specify at least one container to delete: invalid argument");
    }
    const session = await call.session();
    const failures: unknown[] = [];
    for (const id of call.args) {
      try {
        await deleteContainer(session, id, call.bool("keep-snapshot"));
      } catch (thrown) {
        failures.push(thrown);
        log("error", `failed to delete container "${id}"`, sentenceOf(thrown));
      }
    }
    if (failures.length > 0) throw failures[0];
  },
};

async function deleteContainer({ nouns }: Session, id: string, keepSnapshot: boolean): Promise<void> {
  const { snapshotter, snapshotKey } = await nouns.containers.get(id);
  await deleteEndedTask(nouns, id);
  if (!keepSnapshot && snapshotKey !== "") {
    try {
      await nouns.snapshots(snapshotter).remove(snapshotKey);
    } catch (thrown) {
      if (codeOf(thrown) !== "not_found") throw thrown;
    }
  }
  await nouns.containers.delete(id);
}

async function deleteEndedTask(nouns: Session["nouns"], id: string): Promise<void> {
  let status: string;
  try {
    status = (await nouns.tasks.get({ containerId: id, execId: "" })).status;
  } catch (thrown) {
    if (codeOf(thrown) === "not_found") return;
    throw thrown;
  }
  if (status !== "stopped" && status !== "created") {
    throw new Failure(
      "failed_precondition",
      `cannot delete a non stopped container: {${status} 0 0001-01-01 00:00:00 +0000 UTC}`,
    );
  }
  await nouns.tasks.delete(id);
}

const INFO: Command = {
  names: ["info"],
  usage: "get info about a container",
  argsUsage: "CONTAINER",
  flags: [bool("spec", "only display the spec")],
  async action(call) {
    if (call.arg(0) === "") throw new Failure("invalid_argument", NO_ID);
    const { exactContainer } = await import("../call/exact.ts");
    const { container, times } = await exactContainer(await call.session(), call.arg(0));
    const spec = container.spec === null ? null : parseJson(decodeUtf8(container.spec.value));
    if (call.bool("spec")) {
      print(printedJson(spec));
      return;
    }
    print(printedJson({ ...(await shownContainer(container, times)), Spec: spec }));
  },
};

async function shownContainer(container: Container, times: ExactTimes): Promise<Record<string, unknown>> {
  const { typedJson } = await import("../call/any-json.ts");
  const extensions = Object.entries(container.extensions).map(([key, value]) => [key, typedJson(value)]);
  const { runtime } = container;
  const labels = Object.fromEntries(Object.entries(container.labels).sort(([a], [b]) => (a < b ? -1 : 1)));
  return {
    ID: container.id,
    Labels: labels,
    Image: container.image,
    Runtime: { Name: runtime.name, Options: runtime.options === null ? null : typedJson(runtime.options) },
    SnapshotKey: container.snapshotKey,
    Snapshotter: container.snapshotter,
    CreatedAt: goTime(times.createdAt),
    UpdatedAt: goTime(times.updatedAt),
    Extensions: extensions.length === 0 ? null : Object.fromEntries(extensions),
  };
}

const LABEL: Command = {
  names: ["label"],
  usage: "set and clear labels for a container",
  argsUsage: "[flags] CONTAINER [<key>=<value>, ...]",
  description: "set and clear labels for a container",
  async action(call) {
    if (call.arg(0) === "") throw new Failure("invalid_argument", NO_ID);
    const { nouns } = await call.session();
    const container = await nouns.containers.get(call.arg(0));
    const labels = parseLabels(call.args.slice(1));
    const fields = labelFields(labels);
    const updated = fields.length === 0 ? container : await nouns.containers.update({ ...container, labels }, fields);
    print(`${formatLabels(updated.labels)}\n`);
  },
};

export const CONTAINERS: Command = {
  names: ["containers", "c", "container"],
  usage: "manage containers",
  commands: [CREATE, DELETE, INFO, LIST, LABEL],
};
