// OOM events of a v2 cgroup, with a scripted kernel: kills are counted, and an empty cgroup ends the watch.

import assert from "node:assert/strict";
import { test } from "node:test";
import { installDoor } from "../linux/door.ts";
import { ENOENT } from "../linux/errno.ts";
import * as nr from "../linux/numbers.ts";
import { FakeDoor } from "../runtime/fake/door.ts";
import { watchOom } from "./oom.ts";

const give = (text: string) => (_fd: unknown, into: unknown) => {
  (into as Uint8Array).set(Uint8Array.from([...text].map((letter) => letter.charCodeAt(0))));
  return text.length;
};

/** One whole file read: open, its text, its end, close. */
function file(door: FakeDoor, text: string): void {
  door.answer(nr.SYS_openat, 9).answer(nr.SYS_read, give(text), 0).answer(nr.SYS_close, 0);
}

test("v2: each look tells the kills since the last one, and the end when no process is left", () => {
  const door = new FakeDoor();
  installDoor(door);
  door.answer(nr.SYS_inotify_init1, 5).answer(nr.SYS_inotify_add_watch, 1, 2).answer(nr.SYS_close);
  file(door, "low 0\noom 1\noom_kill 1\n");
  const watch = watchOom({ paths: { "": "/cg" }, unified: true });
  assert.equal(watch.descriptor, 5);
  assert.deepEqual(
    door.calls.filter((call) => call.number === nr.SYS_inotify_add_watch).map((call) => call.args),
    [
      [5, "/cg/memory.events", 2],
      [5, "/cg/cgroup.events", 2],
    ],
  );

  door.answer(nr.SYS_read, 16);
  file(door, "oom_kill 3\n");
  assert.equal(watch.look(), 2);

  door.answer(nr.SYS_read, 16);
  file(door, "oom_kill 3\n");
  file(door, "populated 1\nfrozen 0\n");
  assert.equal(watch.look(), 0);

  door.answer(nr.SYS_read, 16);
  file(door, "oom_kill 3\n");
  file(door, "populated 0\nfrozen 0\n");
  assert.equal(watch.look(), "ended");

  door.answer(nr.SYS_read, 16).answer(nr.SYS_openat, -ENOENT, -ENOENT);
  assert.equal(watch.look(), "ended");
  door.answer(nr.SYS_close, 0);
  watch[Symbol.dispose]();
});
