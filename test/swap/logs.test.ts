// A container's log beside the original's: the same output gives the same records in either format, and each daemon
// reads the other's files.

import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { LogEntry } from "../../api/task/gen/log_entry.ts";
import { Lab } from "../lab.ts";
import { ORIGINAL, OriginalEngine, run } from "./original-engine.ts";

const skip = existsSync("/usr/sbin/dockerd") && process.getuid?.() === 0 ? false : "needs Debian's dockerd and root";
/** Lines of every kind: plain, empty, escaped, not UTF-8, around the length of a part, and one without its end. */
const OUTPUT = [
  "echo plain; echo; printf '<a href=\"x\">&\\\\\\t\\001\\177</a>\\n'",
  "printf 'gr\\303\\274n \\342\\200\\250 \\377\\376\\n'",
  "x16=xxxxxxxxxxxxxxxx; x256=$x16$x16$x16$x16$x16$x16$x16$x16$x16$x16$x16$x16$x16$x16$x16$x16",
  "long() { n=$1; while [ $n -ge 256 ]; do printf %s $x256; n=$((n-256)); done; [ $n = 0 ] || printf %.*s $n $x256; }",
  "for n in 16383 16384 16385 32768 40000; do long $n; echo; done",
  "sleep 0.3; echo to stderr >&2; sleep 0.3; printf end",
].join("; ");
const ATTRS = ["--label", "com.example=a", "--env", "E=1", "--log-opt", "labels=com.example", "--log-opt", "env=E"];

interface JsonRecord {
  log: string;
  stream: string;
  attrs?: Record<string, string>;
  time: string;
}

function jsonRecords(file: string): JsonRecord[] {
  return readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as JsonRecord);
}

/** Every line as it stands in the file, but for the time. */
function jsonTexts(file: string): string[] {
  const lines = readFileSync(file, "utf8").split("\n");
  return lines.map((line) => line.replace(/"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"/, '"time":""'));
}

/** Every record of a file of the local driver, but for the time and the number of a line that is in parts. */
function localRecords(file: string): object[] {
  const bytes = readFileSync(file);
  const records: object[] = [];
  for (let at = 0; at < bytes.length; at += 8 + bytes.readUInt32BE(at)) {
    const length = bytes.readUInt32BE(at);
    assert.equal(bytes.readUInt32BE(at + 4 + length), length);
    const { timeNano, partialLogMetadata, line, ...rest } = LogEntry.decode(bytes.subarray(at + 4, at + 4 + length));
    assert(timeNano > 1_600_000_000_000_000_000n);
    const part = partialLogMetadata === null ? null : { ...partialLogMetadata, id: partialLogMetadata.id.length };
    records.push({ ...rest, part, line: Buffer.from(line).toString("latin1") });
  }
  return records;
}

const original = new OriginalEngine();
let lab: Lab;

before(async () => {
  if (skip !== false) return;
  lab = new Lab();
  await Promise.all([original.start(), lab.engine.start()]);
  await lab.engine.haveBusybox();
});
after(async () => {
  if (skip !== false) return;
  await lab?.[Symbol.asyncDispose]();
  await original.stop();
});

const theirs = async (...args: string[]) => {
  const { status, stdout, stderr } = await run(ORIGINAL, args, original.host);
  assert.equal(status, 0, stderr);
  return stdout.trim();
};

/** The container's folder at each, after it printed everything. */
const printed = async (driver: string, ...more: string[]) => {
  const args = ["--network", "none", "--log-driver", driver, ...more, "busybox", "sh", "-c", OUTPUT];
  const [ours, other] = [lab.docker("run", "-d", ...args).trim(), await theirs("run", "-d", ...args)];
  lab.docker("wait", ours);
  await theirs("wait", other);
  const folders = {
    ours: join(lab.engine.places.data, "containers", ours),
    theirs: `${original.folder}/data/containers/${other}`,
  };
  return { ours, theirs: other, folders };
};

test("json-file: the same output gives the same lines, in parts, escaped and with attributes", { skip }, async () => {
  for (const more of [[], ATTRS]) {
    const { ours, theirs: other, folders } = await printed("json-file", ...more);
    const [our, their] = [join(folders.ours, `${ours}-json.log`), join(folders.theirs, `${other}-json.log`)];
    assert.deepEqual(jsonTexts(our), jsonTexts(their));
    const attrs = more.length === 0 ? undefined : { "com.example": "a", E: "1" };
    assert.deepEqual(jsonRecords(our)[0]!.attrs, attrs);
    assert.equal(lab.docker("logs", ours), await rawLogs(other));
    lab.docker("rm", ours);
    await theirs("rm", other);
  }
});

const rawLogs = async (id: string) => (await run(ORIGINAL, ["logs", id], original.host)).stdout;

test("local: the same output gives the same records, byte by byte", { skip }, async () => {
  const { ours, theirs: other, folders } = await printed("local");
  const file = "local-logs/container.log";
  assert.deepEqual(localRecords(join(folders.ours, file)), localRecords(join(folders.theirs, file)));
  lab.docker("rm", ours);
  await theirs("rm", other);
});

test("local: each daemon reads the other's files", { skip }, async () => {
  // Lines that fit one record: of the last part of a longer one the original 20.10 forgets the newline.
  const short = "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; sleep 0.2; echo wrong >&2";
  const args = ["--network", "none", "--log-driver", "local", "busybox", "sh", "-c"];
  const run1 = (script: string) => [...args, script];
  const ours = lab.docker("run", "-d", ...run1(short)).trim();
  const other = await theirs("run", "-d", ...run1("echo theirs; echo bad >&2"));
  lab.docker("wait", ours);
  await theirs("wait", other);
  const folder = join(lab.engine.places.data, "containers", ours, "local-logs");
  const theirFolder = `${original.folder}/data/containers/${other}/local-logs`;
  const expected = lab.docker("logs", ours);
  assert.match(expected, /^line 1\n.*line 9\n$/s);
  cpSync(theirFolder, `${lab.path}/theirs`, { recursive: true });
  cpSync(folder, theirFolder, { recursive: true });
  const read = await run(ORIGINAL, ["logs", other], original.host);
  assert.deepEqual([read.stdout, read.stderr], [expected, "wrong\n"]);
  const tail = await run(ORIGINAL, ["logs", "--tail", "3", other], original.host);
  assert.deepEqual([tail.stdout, tail.stderr], ["line 8\nline 9\n", "wrong\n"]);
  cpSync(`${lab.path}/theirs`, folder, { recursive: true });
  const back = lab.engine.docker("logs", ours);
  assert.deepEqual([back.stdout, back.stderr], ["theirs\n", "bad\n"]);
  lab.docker("rm", ours);
  await theirs("rm", other);
});

test("rotated and compressed files of ours are read by the original", { skip }, async () => {
  const options = ["--log-opt", "max-size=2k", "--log-opt", "max-file=5"];
  const args = ["--network", "none", "--log-driver", "local", ...options, "busybox", "sh", "-c"];
  const script = "i=0; while [ $i -lt 210 ]; do i=$((i+1)); echo number $i; done; sleep 1000";
  const ours = lab.docker("run", "-d", ...args, script).trim();
  const folder = join(lab.engine.places.data, "containers", ours, "local-logs");
  const names = () => readdirSync(folder).toSorted().join(" ");
  const wanted = "container.log container.log.1.gz container.log.2.gz container.log.3.gz";
  const complete = () => names().startsWith(wanted) && !/\.\d+( |$)|compressed/.test(names());
  for (let waited = 0; !complete() && waited < 10_000; waited += 20) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert(complete(), names());
  const other = await theirs("run", "-d", ...args, "true");
  await theirs("wait", other);
  cpSync(folder, `${original.folder}/data/containers/${other}/local-logs`, { recursive: true });
  const all = Array.from({ length: 210 }, (_, at) => `number ${at + 1}\n`).join("");
  assert.equal(lab.docker("logs", ours), all);
  assert.equal(await rawLogs(other), all);
  assert.equal(
    lab.docker("logs", "--tail", "120", ours),
    all
      .split(/(?<=\n)/)
      .slice(-120)
      .join(""),
  );
  lab.docker("rm", "-f", ours);
  await theirs("rm", other);
});

/** Each is refused by both, when the container is created or when it is started. */
const WRONG = [
  ["--log-driver", "local", "--log-opt", "nope=1"],
  ["--log-opt", "nope=1"],
  ["--log-opt", "mode=x"],
  ["--log-opt", "max-buffer-size=1m"],
  ["--log-opt", "max-file=0"],
  ["--log-opt", "max-file=x"],
  ["--log-opt", "max-size=10q"],
  ["--log-opt", "max-size=0"],
  ["--log-opt", "compress=true", "--log-opt", "max-file=1"],
  ["--log-opt", "compress=perhaps"],
  ["--log-driver", "local", "--log-opt", "max-size=x"],
  ["--log-driver", "local", "--log-opt", "max-file=1"],
];

test("wrong options are refused in the original's words, at the same moment", { skip }, async () => {
  const words = (text: string) => text.replace(/^docker: |\.?\n.*$|: invalid suffix.*|: invalid size.*/gs, "").trim();
  for (const options of WRONG) {
    const args = ["run", "--network", "none", ...options, "busybox", "true"];
    const ours = lab.engine.docker(...args);
    const other = await run(ORIGINAL, args, original.host);
    assert.deepEqual([ours.status, words(ours.stderr)], [other.status, words(other.stderr)], options.join(" "));
  }
});

/** What the Engine API answers to the creation of a container with these options of its log: its code, and why. */
function creation(host: string, driver: string, options: Readonly<Record<string, string>>): Promise<[number, string]> {
  const body = JSON.stringify({ Image: "busybox", HostConfig: { LogConfig: { Type: driver, Config: options } } });
  const headers = { "content-type": "application/json" };
  const socketPath = host.replace(/^unix:\/\//, "");
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: "/v1.40/containers/create", method: "POST", headers }, (answer) => {
      let text = "";
      answer.on("data", (part) => (text += part));
      answer.on("end", () => resolve([answer.statusCode!, (JSON.parse(text) as { message?: string }).message ?? ""]));
    });
    asked.on("error", reject).end(body);
  });
}

/** Beside a driver. Sizes that releases of the original after 20.10 read otherwise (".5m") are not among them. */
const MODES: readonly (readonly [driver: string, options: Readonly<Record<string, string>>])[] = [
  ["json-file", { mode: "" }],
  ["json-file", { mode: "blocking" }],
  ["local", { mode: "non-blocking" }],
  ["json-file", { mode: "Non-Blocking" }],
  ["json-file", { mode: "x", "max-buffer-size": "1m", nope: "1" }],
  ["foo", { mode: "x" }],
  ["none", { mode: "x", "max-buffer-size": "x" }],
  ["json-file", { "max-buffer-size": "1m" }],
  ["local", { mode: "blocking", "max-buffer-size": "x" }],
  ...["0", "1.5g", "1 m", "1MiB", "", "x", "-1", "-1m", "1  m", " 1m", "m"].map(
    (size) => ["local", { mode: "non-blocking", "max-buffer-size": size }] as const,
  ),
];

test("the mode of a log and its buffer are taken and refused with the original's words and codes", {
  skip,
}, async () => {
  for (const [driver, options] of MODES) {
    const ours = await creation(lab.engine.host, driver, options);
    assert.deepEqual(ours, await creation(original.host, driver, options), JSON.stringify([driver, options]));
  }
  lab.docker("rm", ...lab.docker("ps", "-aq").trim().split("\n"));
  await theirs("rm", ...(await theirs("ps", "-aq")).split("\n"));
});

/** Templates of a tag; what only one machine or release knows (LogPath, the id itself) is in no answer. */
const TAGS = [
  "{{.Name}}/{{.ImageName}}/{{.DaemonName}}",
  "{{json .Name}}|{{json .ContainerLabels}}|{{json .ContainerArgs}}",
  '{{upper .Name}}-{{lower "AbC"}}-{{title .ImageName}}-{{title "a-b c_d"}}',
  '{{split .ImageName "s"}}|{{join (split .ImageName "s") "-"}}',
  '{{pad .ImageName 1 2}}|{{pad "" 1 2}}',
  "{{truncate .Name 3}}|{{truncate .Name 99}}|{{len .ID}}|{{len .FullID}}|{{len .ImageFullID}}",
  "{{truncate .ImageID 7}}|{{len .ImageID}}|{{eq .ID (truncate .ContainerID 12)}}",
  "{{.Command}}|{{.ContainerEntrypoint}}|{{.ContainerArgs}}|{{.ContainerLabels}}|{{.Hostname}}",
  '{{.Name | upper | printf "%s-%d-%s" .ImageName 3}}',
  '{{index .ContainerLabels "com.example"}}|{{.ContainerLabels.nope}}|{{index .ContainerLabels "nope"}}',
  "{{with .Config.tag}}x{{end}}{{range $at, $arg := .ContainerArgs}}{{$at}}={{$arg}};{{end}}",
  "{{.ExtraAttributes nil}}",
  "  x {{- .Name -}}  y",
  "{{/* nothing */}}",
  "{{.Nope}}",
  "{{nope .ID}}",
  "{{.ID",
  "{{truncate .ID -3}}",
  '{{pad .ID "x" 2}}',
  "{{split .ID}}",
  "{{truncate .ID 3 4}}",
  "{{truncate .ID .Name}}",
  "{{upper nil}}",
  "{{.ContainerArgs | upper}}",
  "{{index .ContainerArgs 7}}",
  "{{.ID.Foo}}",
  "{{.ContainerArgs.x}}",
  "{{.ID | truncate 3}}",
];

test("a tag is the template that it is for the original, with its functions and complaints", { skip }, async () => {
  const more = ["--network", "none", "--name", "tagged", "--label", "com.example=<a&b>"];
  for (const tag of TAGS) {
    const args = [
      "run",
      ...more,
      "--log-opt",
      "labels=com.example",
      "--log-opt",
      `tag=${tag}`,
      "busybox",
      "echo",
      "hi",
    ];
    const ours = lab.engine.docker(...args);
    const other = await run(ORIGINAL, args, original.host);
    assert.deepEqual([ours.status, ours.stderr], [other.status, other.stderr], tag);
    const [id, theirId] = [lab.docker("ps", "-aq", "--no-trunc").trim(), await theirs("ps", "-aq", "--no-trunc")];
    if (ours.status === 0) {
      const [record] = jsonRecords(join(lab.engine.places.data, "containers", id, `${id}-json.log`));
      const [theirRecord] = jsonRecords(`${original.folder}/data/containers/${theirId}/${theirId}-json.log`);
      assert.deepEqual(record!.attrs, theirRecord!.attrs, tag);
    }
    lab.docker("rm", "tagged");
    await theirs("rm", "tagged");
  }
});
