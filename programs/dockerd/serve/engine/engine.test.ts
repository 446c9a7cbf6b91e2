// Small parts of the API's server: filters, detach keys, moments, routes, settings.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseFlags } from "../../config/flags.ts";
import { loadSettings } from "../../config/load.ts";
import { splitBip } from "../../networks/networks.ts";
import { parseMoment } from "../../system/moment.ts";
import { DetachScanner } from "./detach.ts";
import { Filters } from "./filters.ts";
import { Router } from "./router.ts";

test("filters are read in both forms and an unknown one is refused", () => {
  assert.deepEqual(Filters.parse('{"label":{"a=1":true,"b":false}}', ["label"]).get("label"), ["a=1"]);
  assert.deepEqual(Filters.parse('{"label":["a=1"]}', ["label"]).get("label"), ["a=1"]);
  assert.throws(() => Filters.parse('{"nope":["x"]}', ["label"]), /invalid filter 'nope'/);
  assert.throws(() => Filters.parse("{", []), /invalid filter/);
});

test("several labels must all be there, several other values need only one", () => {
  const filters = Filters.parse('{"label":["a","b=2"],"name":["x","y"]}', ["label", "name"]);
  assert.ok(filters.labels({ a: "1", b: "2" }));
  assert.ok(!filters.labels({ a: "1", b: "3" }));
  assert.ok(filters.exact("name", "y"));
  assert.ok(filters.exact("other", "anything"));
});

test("the detach keys are held back until it is clear that they do not go on", () => {
  const scanner = new DetachScanner("");
  assert.deepEqual([...scanner.push(Uint8Array.of(65, 16)).bytes], [65]);
  assert.deepEqual([...scanner.push(Uint8Array.of(66)).bytes], [16, 66]);
  assert.equal(scanner.push(Uint8Array.of(16, 17)).detach, true);
  assert.throws(() => new DetachScanner("ctrl-?"), /Invalid detach keys/);
});

test("a moment is a number of seconds, a duration back from now, or a date", () => {
  assert.equal(parseMoment("12.5", 0), 12_500_000_000n);
  assert.equal(parseMoment("1m30s", 100_000), 10_000_000_000n);
  assert.equal(parseMoment("2026-01-01T00:00:00.000000001Z", 0) % 1_000_000_000n, 1n);
  assert.throws(() => parseMoment("soon", 0), /invalid value/);
});

test("image names with slashes fit a route of many segments", () => {
  const router = new Router();
  router.add("GET /images/{name*}/json", async () => {});
  router.add("GET /images/{name*}/get", async () => {});
  assert.equal(router.find("GET", "/images/a/b/c:d/json")?.params["name"], "a/b/c:d");
  assert.equal(router.find("GET", "/images/a/b/nope"), null);
});

test("--bip is the bridge's own address, or that of its network", () => {
  assert.deepEqual(splitBip("172.27.0.1/16"), { subnet: "172.27.0.0/16", gateway: "172.27.0.1" });
  assert.deepEqual(splitBip("10.0.3.0/24"), { subnet: "10.0.3.0/24", gateway: "" });
  assert.throws(() => splitBip("10.0.0.1"), /invalid CIDR address/);
});

function withFile(content: string, body: (path: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "dockerd-config-"));
  try {
    const path = join(folder, "daemon.json");
    writeFileSync(path, content);
    body(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const settingsOf = (path: string, ...args: string[]) =>
  loadSettings(parseFlags(["--config-file", path, ...args]).given);

test("daemon.json and flags together make the settings", () =>
  withFile('{"debug":true,"log-opts":{"max-size":"1m"},"hosts":["unix:///x.sock"]}', (path) => {
    const settings = settingsOf(path, "--default-runtime", "runc");
    assert.equal(settings.logLevel, "debug");
    assert.deepEqual(settings.logOptions, { "max-size": "1m" });
    assert.deepEqual(settings.hosts, ["unix:///x.sock"]);
    assert.equal(settings.liveRestore, true);
  }));

test("a setting that stands in both places is a conflict", () =>
  withFile('{"debug":true}', (path) => {
    assert.throws(
      () => settingsOf(path, "-D"),
      /specified both as a flag and in the configuration file: debug: \(from flag: true, from file: true\)/,
    );
  }));

test("an unknown key of the file is refused by name", () =>
  withFile('{"nope":1}', (path) => {
    assert.throws(() => settingsOf(path), /the following directives don't match any configuration option: nope/);
  }));

test("what would weaken a container when ignored is refused", () =>
  withFile("{}", (path) => {
    assert.throws(() => settingsOf(path, "--userns-remap", "default"), /userns-remap is not supported yet/);
    assert.throws(() => settingsOf(path, "--tlsverify"), /tlsverify is not supported yet/);
  }));

test("an unknown flag has the original's words", () => {
  assert.throws(() => parseFlags(["--nope"]), /unknown flag: --nope/);
});
