// Go templates against what Go prints.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Template } from "./executor.ts";

const DATA = {
  Id: "sha256:abc",
  Config: { Cmd: ["sh", "-c"], Labels: { b: "2", a: "1" }, Env: null, Hostname: "" },
  State: { Running: true, ExitCode: 0, Pid: 12 },
  Networks: { none: { IPAddress: "" }, web: { IPAddress: "10.0.0.2" } },
  Ratio: 1.5,
  Html: "<a&b>",
};

const CASES: [template: string, output: string][] = [
  ["{{.Id}} {{.Config.Cmd}} {{.Config.Labels}}", "sha256:abc [sh -c] map[a:1 b:2]"],
  ["{{json .Config.Labels}} {{json .Html}}", '{"a":"1","b":"2"} "<a&b>"'],
  ["{{.Config.Env}}", "<no value>"],
  ["{{if .State.Running}}up{{else}}down{{end}}", "up"],
  ["{{if eq .State.ExitCode 1}}one{{else if eq .State.ExitCode 0}}zero{{else}}more{{end}}", "zero"],
  ["{{range $k, $v := .Networks}}{{$k}}={{$v.IPAddress}};{{end}}", "none=;web=10.0.0.2;"],
  ["{{range .Config.Cmd}}<{{.}}>{{end}}", "<sh><-c>"],
  ["{{range .Config.Env}}x{{else}}empty{{end}}", "empty"],
  ['{{with .Config}}{{index .Labels "a"}}{{end}}', "1"],
  ["{{$x := 1}}{{range .Config.Cmd}}{{$x = .}}{{end}}{{$x}}", "-c"],
  ["{{index .Config.Cmd 1}} {{len .Config.Cmd}} {{slice .Id 0 6}}", "-c 2 sha256"],
  ['{{printf "%-5s|%5d|%q|%.2f" .Config.Hostname .State.Pid .Id .Ratio}}', '     |   12|"sha256:abc"|1.50'],
  ['{{join .Config.Cmd ","}} {{.Id | upper | printf "%s!"}}', "sh,-c SHA256:ABC!"],
  ['{{(index (split .Id ":") 1) | title}}', "Abc"],
  ["a {{- /* gone */ -}} b", "ab"],
  ["x {{- .State.Pid -}} y", "x12y"],
  ['{{and true .State.Pid}} {{or 0 "z"}} {{not true}} {{lt 1 2}} {{ne "a" "b"}}', "12 z false true true"],
  ['{{println 1 "a"}}', "1 a\n"],
  ['{{truncate .Id 3}}{{pad "a" 1 2}}|', "sha a  |"],
  ["{{range $i, $e := .Config.Cmd}}{{if $i}},{{end}}{{$e}}{{end}}", "sh,-c"],
  ["{{range .Config.Cmd}}{{.}}{{break}}{{end}}", "sh"],
  ["{{`raw`}}{{\"q\\tq\"}}{{'a'}}", "rawq\tq97"],
];

for (const [template, output] of CASES) {
  test(`the template ${template} prints what Go prints`, () =>
    assert.equal(new Template(template).execute(DATA), output));
}

const AT = "template: :1:";
const BOUNDS = "runtime error: slice bounds out of range";

const COMPLAINTS: [template: string, words: string][] = [
  ["{{.Foo", "template: :1: unclosed action"],
  ["{{.Id}} {{.Foo}}", 'template: :1:10: executing "" at <.Foo>: map has no entry for key "Foo"'],
  ["{{.State.Foo}}", 'template: :1:8: executing "" at <.State.Foo>: map has no entry for key "Foo"'],
  ["{{foo .Id}}", 'template: :1: function "foo" not defined'],
  ["{{if .Id}}x", "template: :1: unexpected EOF"],
  ["{{end}}", "template: :1: unexpected {{end}}"],
  ["{{$y}}", 'template: :1: undefined variable "$y"'],
  [
    "{{index .Config.Cmd 5}}",
    'template: :1:2: executing "" at <index .Config.Cmd 5>: error calling index: index out of range: 5',
  ],
  ["{{truncate .Id -3}}", `${AT}2: executing "" at <truncate .Id -3>: error calling truncate: ${BOUNDS} [:-3]`],
  ["{{len 3}}", 'template: :1:2: executing "" at <len 3>: error calling len: len of type int'],
  ['{{pad .Id "x" 2}}', 'template: :1:10: executing "" at <"x">: expected integer; found "x"'],
  ["{{pad .Id 1.5 2}}", 'template: :1:10: executing "" at <1.5>: expected integer; found 1.5'],
  ["{{upper 3}}", 'template: :1:8: executing "" at <3>: expected string; found 3'],
  ["{{upper nil}}", 'template: :1:8: executing "" at <nil>: cannot assign nil to string'],
  ["{{.Id | truncate 3}}", 'template: :1:17: executing "" at <3>: expected string; found 3'],
  ['{{join .Id "x"}}', 'template: :1:7: executing "" at <.Id>: wrong type for value; expected []string; got string'],
  ["{{truncate .Id .Id}}", 'template: :1:15: executing "" at <.Id>: wrong type for value; expected int; got string'],
  ["{{split .Id}}", 'template: :1:2: executing "" at <split>: wrong number of args for split: want 2 got 1'],
  [
    "{{truncate .Id 3 4}}",
    'template: :1:2: executing "" at <truncate>: wrong number of args for truncate: want 2 got 3',
  ],
  ["{{json}}", 'template: :1:2: executing "" at <json>: wrong number of args for json: want 1 got 0'],
  ["{{.Id 3}}", 'template: :1:2: executing "" at <.Id>: Id is not a method but has arguments'],
  ["{{}}", "template: :1: missing value for command"],
];

for (const [template, words] of COMPLAINTS) {
  test(`the template ${template} is refused in Go's words`, () => {
    assert.throws(() => new Template(template).execute(DATA), { message: words });
  });
}
