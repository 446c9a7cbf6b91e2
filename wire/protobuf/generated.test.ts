// Every generated message beside protobufjs, which reads the same .proto files: equal bytes out, equal values in.
// Values come from a seeded generator, so that a failure comes back.

import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { Failure } from "../../base/errors.ts";
import { type GeneratedMessage, isMessage, Samples, toOurs, toTheirs } from "./samples.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const ROUNDS = 20;
const FUZZ_ROUNDS = 200;

const schema = loadSchema();
const messages = await loadMessages();

function loadSchema(): protobuf.Root {
  const loaded = new protobuf.Root();
  const api = join(root, "api");
  loaded.resolvePath = (_origin, target) => (target.startsWith(api) ? target : join(api, target));
  loaded.loadSync(globSync(join(api, "**/*.proto")));
  loaded.resolveAll();
  return loaded;
}

async function loadMessages(): Promise<GeneratedMessage[]> {
  const found: GeneratedMessage[] = [];
  for (const path of globSync(join(root, "api/*/gen/*.ts")).sort()) {
    const exported: Record<string, unknown> = await import(path);
    found.push(...Object.values(exported).filter(isMessage));
  }
  return found;
}

test("every message of the schemas is generated, under its full name", () => {
  const names = messages.map((type) => type.typeName);
  assert.equal(new Set(names).size, names.length);
  const wanted: string[] = [];
  const collect = (space: protobuf.NamespaceBase): void => {
    for (const item of space.nestedArray) {
      if (item instanceof protobuf.Type) wanted.push(item.fullName.slice(1));
      if (item instanceof protobuf.Namespace) collect(item);
    }
  };
  collect(schema);
  assert.ok(wanted.length > 200);
  assert.deepEqual(names.sort(), wanted.sort());
});

test("each message encodes to the bytes of protobufjs, and both decode them to the same value", () => {
  const samples = new Samples(1);
  for (const type of messages) {
    const theirs = schema.lookupType(type.typeName);
    for (let round = 0; round < ROUNDS; round++) {
      const value = samples.message(type);
      const bytes = type.encode(value);
      const reference = theirs.encode(theirs.create(toTheirs(type, value))).finish();
      assert.equal(Buffer.from(bytes).toString("hex"), Buffer.from(reference).toString("hex"), type.typeName);
      assert.deepEqual(type.decode(bytes), value, type.typeName);
      assert.deepEqual(toOurs(type, theirs.decode(bytes)), value, type.typeName);
    }
  }
});

test("the empty message decodes to what create makes, and back to no bytes", () => {
  for (const type of messages) {
    assert.deepEqual(type.decode(new Uint8Array(0)), type.create(), type.typeName);
    assert.equal(type.encode(type.create()).length, 0, type.typeName);
  }
});

test("fields that a message does not know are skipped, whatever their wire type", () => {
  const samples = new Samples(2);
  // Field 1,000 as varint, 64 bits, bytes and 32 bits.
  const unknown = ["c03eac02", "c13e0102030405060708", "c23e03616263", "c53e01020304"].map((hex) =>
    Buffer.from(hex, "hex"),
  );
  for (const type of messages) {
    const value = samples.message(type);
    const bytes = Buffer.concat([...unknown, type.encode(value), ...unknown]);
    assert.deepEqual(type.decode(bytes), value, type.typeName);
  }
});

test("a message cut short is refused or is a shorter message, never anything else", () => {
  const samples = new Samples(3);
  let refused = 0;
  for (const type of messages) {
    const bytes = type.encode(samples.message(type));
    for (let end = 0; end < bytes.length; end++) if (!decodes(type, bytes.subarray(0, end))) refused++;
  }
  assert.ok(refused > 1000);
});

test("random bytes and damaged messages are refused as invalid_argument or decode to an encodable value", () => {
  const samples = new Samples(4);
  for (const type of messages) {
    for (let round = 0; round < FUZZ_ROUNDS; round++) {
      const bytes = round % 2 === 0 ? samples.bytes(40) : type.encode(samples.message(type));
      if (round % 2 === 1 && bytes.length > 0) bytes[samples.below(bytes.length)] = samples.below(256);
      decodes(type, bytes);
    }
  }
});

/** Whether the bytes decode; fails the test on any error but the promised one. */
function decodes(type: GeneratedMessage, bytes: Uint8Array): boolean {
  try {
    type.encode(type.decode(bytes));
    return true;
  } catch (error) {
    assert.ok(error instanceof Failure && error.code === "invalid_argument", `${type.typeName}: ${error}`);
    return false;
  }
}
