// podman with our runc, as root and as a user without rights (who is root in podman's user namespace then): the verbs
// of every day, on an image made here. Limits that the machine may not raise are set lower than podman's own.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { OURS } from "../bundle.ts";
import { UserLab } from "../user-lab.ts";

const lab = new UserLab();
const image = join(lab.path, "image.tar");
const settings = join(lab.path, "containers.conf");
spawnSync("tar", ["-C", lab.rootfs, "--owner=0", "--group=0", "-cf", image, "."]);
writeFileSync(settings, '[containers]\ndefault_ulimits = ["nofile=1000:1000", "nproc=9000:9000"]\n');
chmodSync(image, 0o644);
after(() => {
  asRoot("$P rm -af -t 0; $P rmi -af");
  // The last command also ends the process that podman keeps to hold its user namespace.
  asUser("$P rm -af -t 0; $P rmi -af; $P unshare rm -rf $HOME/storage; $P system migrate");
  lab[Symbol.dispose]();
});

/** `podman` with everything it keeps below one directory. */
function podman(place: string): string {
  const places = `--root ${place}/storage --runroot ${place}/state --tmpdir ${place}/tmp`;
  return `podman ${places} --storage-driver vfs --cgroup-manager cgroupfs --events-backend file --runtime ${OURS}`;
}

function asRoot(script: string): string {
  const env = { ...process.env, CONTAINERS_CONF: settings, P: podman(join(lab.path, "root")) };
  const result = spawnSync("sh", ["-c", script], { encoding: "utf8", timeout: 120_000, env });
  return result.stdout + result.stderr;
}

function asUser(script: string): string {
  const result = lab.sh(script, { CONTAINERS_CONF: settings, P: podman(lab.run) });
  return result.stdout + result.stderr;
}

const EVERYDAY = `
$P import ${image} box >/dev/null 2>&1
$P run --rm --network none box id
$P run --rm --network none -u 1000:1000 box sh -c 'id -u; echo said > /dev/stderr' 2>&1
$P run -d --name one --network none box sleep 100 >/dev/null
$P ps --format '{{.Names}} {{.Status}}' | cut -c1-6
$P exec -e A=b -w /tmp -u 5 one sh -c 'echo $A; pwd; id -u'
$P stop -t 0 one >/dev/null; $P start one >/dev/null; $P kill one >/dev/null; $P rm -f one >/dev/null
$P run --name two --network none box sh -c 'echo out; exit 7' >/dev/null; echo $?; $P logs two; $P rm two >/dev/null
$P run --rm --network none --read-only --tmpfs /run box sh -c 'touch /x 2>/dev/null || touch /run/x && echo written'
$P run --rm --network none --pid host box sh -c 'echo began'
$P run --rm --network none --hostname there --oom-score-adj 500 box sh -c 'hostname; cat /proc/self/oom_score_adj'
$P run --rm --network none --privileged box true; echo $?
$P ps -aq`;

const EXPECTED = "uid=0 gid=0\n1000\nsaid\none Up\nb\n/tmp\n5\n7\nout\nwritten\nbegan\nthere\n500\n0\n";

describe("podman runs its everyday verbs with our runc", () => {
  test("as root", () => assert.equal(asRoot(EVERYDAY), EXPECTED));

  test("as a user without rights", () => assert.equal(asUser(EVERYDAY), EXPECTED));

  test("with a user namespace of the container's own", () => {
    const script = "$P run --rm --network none --uidmap 0:1:500 --gidmap 0:1:500 box cat /proc/self/uid_map";
    assert.equal(asRoot(script).replace(/ +/g, " "), " 0 1 500\n");
    assert.equal(asUser("$P run --rm --network none --userns keep-id box id -u"), `${asUser("id -u")}`);
  });

  test("pauses and updates as root", () => {
    const script = `$P run -d --name three --network none box sleep 100 >/dev/null
      $P pause three >/dev/null; $P ps -a --format '{{.Status}}' | cut -c1-6; $P unpause three > /dev/null
      $P update --memory 40m three > /dev/null; $P rm -f -t 0 three >/dev/null`;
    assert.equal(asRoot(script), "Paused\n");
  });
});
