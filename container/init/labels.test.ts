// AppArmor and SELinux labels, with a procfs in memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { installDoor } from "../../linux/door.ts";
import { EINVAL, ENOENT } from "../../linux/errno.ts";
import { O_PATH, open } from "../../linux/fd.ts";
import { FakeFiles } from "../../runtime/fake/files.ts";
import { setLabels } from "./labels.ts";

function machine(...attributes: string[]): { kernel: FakeFiles; proc: () => number } {
  const kernel = new FakeFiles();
  installDoor(kernel);
  kernel.makeDirectories("/proc");
  for (const name of attributes) kernel.put(`/proc/self/attr/${name}`, "");
  return { kernel, proc: () => open("/proc", O_PATH).release() };
}

const apparmor = { apparmorProfile: "docker-default", selinuxLabel: "" };
const selinux = { apparmorProfile: "", selinuxLabel: "system_u:system_r:container_t:s0" };

test("an AppArmor profile goes to the module's own attribute, with the word that it is for execve", () => {
  const { kernel, proc } = machine("apparmor/exec", "exec");
  setLabels(apparmor, proc);
  assert.deepEqual(kernel.written, [["/proc/self/attr/apparmor/exec", "exec docker-default"]]);
});

test("on a kernel without attributes for each module it goes to the common one", () => {
  const { kernel, proc } = machine("exec");
  kernel.refused.set("/proc/self/attr/apparmor/exec", ENOENT);
  setLabels(apparmor, proc);
  assert.deepEqual(kernel.written, [["/proc/self/attr/exec", "exec docker-default"]]);
});

test("a SELinux label goes to the common attribute as it is", () => {
  const { kernel, proc } = machine("exec");
  setLabels(selinux, proc);
  assert.deepEqual(kernel.written, [["/proc/self/attr/exec", "system_u:system_r:container_t:s0"]]);
});

test("what the kernel refuses is told in the original's words", () => {
  const { kernel, proc } = machine("apparmor/exec", "exec");
  for (const name of ["apparmor/exec", "exec"]) kernel.refused.set(`/proc/self/attr/${name}`, EINVAL);
  assert.throws(
    () => setLabels(apparmor, proc),
    /^Failure: apparmor failed to apply profile: .*exec: invalid argument$/,
  );
  assert.throws(() => setLabels(selinux, proc), /^Failure: can't set process label: .*exec: invalid argument$/);
});

test("without labels nothing is opened", () => {
  const { kernel } = machine();
  setLabels({ apparmorProfile: "", selinuxLabel: "" }, () => assert.fail("procfs was asked for"));
  assert.deepEqual(kernel.written, []);
});
