// Command lines against the originals' words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FlagError, FlagSet, HelpRequested } from "./flagset.ts";
import { formatGoDuration, parseGoDuration, parseGoInt, quote } from "./go.ts";
import { formatFlagUsage } from "./usage.ts";
import { BOOL, INT, splitCommas } from "./values.ts";

function dockerLike() {
  const flags = new FlagSet("pflag");
  return {
    flags,
    detach: flags.bool("detach", "d", "Go on in the background"),
    tty: flags.bool("tty", "t", "Terminal"),
    env: flags.list("env", "e", "Variables"),
    last: flags.int("last", "n", "How many", -1),
    proxy: flags.bool("sig-proxy", "", "Signals", true),
    every: flags.duration("every", "", "Pause"),
  };
}

test("the pflag dialect reads clusters, joined and separate values, and flags behind arguments", () => {
  const { flags, detach, tty, env, last, proxy } = dockerLike();
  const rest = flags.parse([
    "-dt",
    "image",
    "-eA=1",
    "--env",
    "B=2",
    "-e=C",
    "--sig-proxy=false",
    "-n",
    "-3",
    "--",
    "-x",
  ]);
  assert.deepEqual(rest, ["image", "-x"]);
  assert.deepEqual([detach.value, tty.value, proxy.value, last.value], [true, true, false, -3]);
  assert.deepEqual(env.value, ["A=1", "B=2", "C"]);
});

test("without interspersing the first argument ends the flags", () => {
  const { flags, detach } = dockerLike();
  flags.interspersed = false;
  assert.deepEqual(flags.parse(["image", "-d", "--", "x"]), ["image", "-d", "--", "x"]);
  assert.equal(detach.value, false);
});

const COMPLAINTS: [args: string[], words: string][] = [
  [["--foo"], "unknown flag: --foo"],
  [["--foo=1"], "unknown flag: --foo"],
  [["-dx"], "unknown shorthand flag: 'x' in -x"],
  [["-d="], "unknown shorthand flag: '=' in -="],
  [["--env"], "flag needs an argument: --env"],
  [["-e"], "flag needs an argument: 'e' in -e"],
  [["--=x"], "bad flag syntax: --=x"],
  [["-n", "x"], `invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax`],
  [
    ["--last=99999999999999999999"],
    `invalid argument "9${"9".repeat(19)}" for "-n, --last" flag: ` +
      `strconv.ParseInt: parsing "9${"9".repeat(19)}": value out of range`,
  ],
  [
    ["-d=maybe"],
    `invalid argument "maybe" for "-d, --detach" flag: strconv.ParseBool: parsing "maybe": invalid syntax`,
  ],
  [["--every=5"], `invalid argument "5" for "--every" flag: time: missing unit in duration "5"`],
];

for (const [args, words] of COMPLAINTS) {
  test(`the pflag dialect answers ${args.join(" ")} with pflag's words`, () => {
    assert.throws(
      () => dockerLike().flags.parse(args),
      (thrown: unknown) => {
        return thrown instanceof FlagError && thrown.message === words;
      },
    );
  });
}

function runcLike() {
  const flags = new FlagSet("go");
  return {
    flags,
    root: flags.string("root", "", "State"),
    detach: flags.add(BOOL, ["detach", "d"], { usage: "", initial: false }),
    count: flags.add(INT, ["count", ""], { usage: "", initial: 0 }),
  };
}

test("the go dialect takes one or two dashes, aliases, and stops at the first argument", () => {
  const { flags, root, detach } = runcLike();
  assert.deepEqual(flags.parse(["-root", "/a", "--d", "id", "--root=/b"]), ["id", "--root=/b"]);
  assert.deepEqual([root.value, detach.value], ["/a", true]);
});

test("the go dialect complains in the words of Go's flag package", () => {
  const words = (args: string[]) => {
    try {
      runcLike().flags.parse(args);
    } catch (thrown) {
      return (thrown as Error).message;
    }
    return null;
  };
  assert.equal(words(["--foo"]), "flag provided but not defined: -foo");
  assert.equal(words(["--root"]), "flag needs an argument: -root");
  assert.equal(words(["--count=x"]), 'invalid value "x" for flag -count: parse error');
  assert.equal(words(["-d=x"]), 'invalid boolean value "x" for -d: parse error');
  assert.throws(() => runcLike().flags.parse(["-h"]), HelpRequested);
});

test("durations and integers are Go's", () => {
  assert.equal(parseGoDuration("1h2m3.5s"), 3723.5e9);
  assert.equal(parseGoDuration("-1.5ms"), -1.5e6);
  assert.equal(formatGoDuration(3723.5e9), "1h2m3.5s");
  assert.equal(formatGoDuration(1500), "1.5µs");
  for (const [text, value] of [
    ["0x10", 16],
    ["010", 8],
    ["-1_000", -1000],
    ["0", 0],
  ] as const) {
    assert.equal(parseGoInt(text), value);
  }
  assert.throws(() => parseGoInt("1__0"));
  assert.equal(quote('a"\n\u0001'), '"a\\"\\n\\x01"');
});

test("comma lists know quoted fields", () => {
  assert.deepEqual(splitCommas('type=bind,"source=/a,b",target=/c'), ["type=bind", "source=/a,b", "target=/c"]);
  assert.throws(() => splitCommas('a"b'), /bare " in non-quoted-field/);
});

test("help lists flags by name with their defaults, wrapped", () => {
  assert.equal(
    formatFlagUsage(dockerLike().flags.entries, 60),
    [
      "  -d, --detach           Go on in the background",
      "  -e, --env list         Variables",
      "      --every duration   Pause",
      "  -n, --last int         How many (default -1)",
      "      --sig-proxy        Signals (default true)",
      "  -t, --tty              Terminal",
      "",
    ].join("\n"),
  );
});
