// What linux/ makes of a kernel that interrupts, gives little and refuses, with a scripted door.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeDoor } from "../runtime/fake/door.ts";
import { installDoor } from "./door.ts";
import { EAGAIN, EINTR, ENOENT, ENOSPC, SyscallFailure } from "./errno.ts";
import { Fd, open, read, readAll, readTextIfThere, writeAll } from "./fd.ts";
import * as nr from "./numbers.ts";

function kernel(): FakeDoor {
  const door = new FakeDoor();
  installDoor(door);
  return door;
}

const give = (text: string) => (_fd: unknown, into: unknown) => {
  (into as Uint8Array).set(new Uint8Array([...text].map((letter) => letter.charCodeAt(0))));
  return text.length;
};

test("an interrupted read is repeated", () => {
  kernel().answer(nr.SYS_read, -EINTR, -EINTR, give("ab"));
  const into = new Uint8Array(8);
  assert.equal(read(3, into), 2);
});

test("a read that would wait gives null", () => {
  kernel().answer(nr.SYS_read, -EAGAIN);
  assert.equal(read(3, new Uint8Array(8)), null);
});

test("reading to the end puts the parts together and stops at its limit", () => {
  kernel().answer(nr.SYS_read, give("one "), give("two"), 0);
  assert.equal(String.fromCharCode(...readAll(3)), "one two");
  kernel().answer(nr.SYS_read, give("12345"));
  assert.throws(() => readAll(3, 4), /more than 4 bytes/);
});

test("a short write is continued, and a full disk is said with the call's name", () => {
  const door = kernel().answer(nr.SYS_write, 2, 1);
  writeAll(3, new Uint8Array(3));
  assert.equal(door.calls.length, 2);
  kernel().answer(nr.SYS_write, -ENOSPC);
  assert.throws(
    () => writeAll(3, new Uint8Array(1)),
    (thrown) =>
      thrown instanceof SyscallFailure &&
      thrown.code === "resource_exhausted" &&
      thrown.message === "write fd 3: no space left on device",
  );
});

test("a file that is not there is null where that is an answer, and a Failure with its path where it is not", () => {
  kernel().answer(nr.SYS_openat, -ENOENT, -ENOENT);
  assert.equal(readTextIfThere("/nowhere"), null);
  assert.throws(() => open("/nowhere", 0), /^SyscallFailure: open \/nowhere: no such file or directory$/);
});

test("a descriptor is closed once, by its owner, unless it was given away", () => {
  const door = kernel().answer(nr.SYS_close, 0);
  const owned = new Fd(7);
  owned.close();
  owned.close();
  const given = new Fd(8);
  assert.equal(given.release(), 8);
  given.close();
  assert.deepEqual(
    door.calls.map((call) => call.args[0]),
    [7],
  );
  assert.throws(() => owned.number, /a closed descriptor was used/);
});
