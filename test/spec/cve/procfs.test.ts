// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642 and CVE-2025-52881: what the runtime writes for a container (labels,
// settings) or covers must be the kernel's own file, whatever a volume, an image or a racing process puts at /proc.
// And the files by which a container would rule the host (core_pattern, sysrq-trigger) are not to be written.

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type Config, ORIGINAL, OURS, RuntimeBench } from "../../bundle.ts";
import { type Bend, build, race, withoutMount } from "./attack.ts";

const bench = new RuntimeBench();
after(() => bench[Symbol.dispose]());
const both = { skip: existsSync(ORIGINAL) ? false : "the original runc is not installed" };

/** A volume that looks like a procfs to whoever only looks at names. */
const decoy = join(bench.path, "decoy");
mkdirSync(join(decoy, "sys/net/ipv4"), { recursive: true });
mkdirSync(join(decoy, "self/attr"), { recursive: true });
for (const file of ["sys/net/ipv4/ip_forward", "self/attr/exec", "keys"]) writeFileSync(join(decoy, file), "untouched");

const mount =
  (destination: string, source: string, options = ["bind"]): Bend =>
  (config) =>
    config.mounts.push({ destination, type: "bind", source, options });

function refused(bend: Bend, wanted: RegExp, runtime = OURS): void {
  assert.equal(bench.run(["true"], bend, runtime).status, 1);
  assert.match(bench.lastError(runtime), wanted);
}

describe("/proc of a container", () => {
  const places: readonly (readonly [what: string, bend: Bend])[] = [
    ["a volume over it", mount("/proc", decoy)],
    [
      "a volume in its place",
      (config) => {
        withoutMount(config, "/proc");
        mount("/proc", decoy)(config);
      },
    ],
    [
      "a tmpfs in its place",
      (config) => {
        withoutMount(config, "/proc");
        config.mounts.push({ destination: "/proc", type: "tmpfs", source: "tmpfs", options: [] });
      },
    ],
  ];
  for (const [what, bend] of places) {
    test(`cannot have ${what}`, () => refused(bend, /\/proc" cannot be mounted because it is not of type proc/));
    if (what.includes("tmpfs")) continue;
    test(`cannot have ${what}, as with the original`, both, () =>
      refused(bend, /\/proc" cannot be mounted because it is not of type proc/, ORIGINAL),
    );
  }

  test("may be the host's own procfs, bound", () => {
    assert.equal(bench.run(["true"], mount("/proc", "/proc", ["rbind"])).status, 0, bench.lastError());
  });

  for (const inside of ["/proc/sys", "/proc/self/attr", "/proc/1", "/proc/sys/net/ipv4", "/proc/./sys/../self/attr"]) {
    test(`cannot have a volume at ${inside}, also before the procfs is there`, () => {
      refused(mount(inside, decoy), /cannot be mounted because it is inside \/proc/);
      refused(
        (config) => config.mounts.unshift({ destination: inside, type: "bind", source: decoy, options: ["bind"] }),
        /./,
      );
    });
  }

  test("cannot have one by a link of the image", () => {
    symlinkSync("/proc/sys/net", join(bench.rootfs, "link"));
    symlinkSync("/proc", join(bench.rootfs, "whole"));
    refused(mount("/link/ipv4", decoy), /cannot be mounted because it is inside \/proc/);
    refused(mount("/whole", decoy), /cannot be mounted because it is inside \/proc/);
    for (const name of ["link", "whole"]) rmSync(join(bench.rootfs, name));
  });

  for (const name of ["proc", "sys"]) {
    test(`is not mounted through a link at /${name}`, () => {
      rmSync(join(bench.rootfs, name), { recursive: true });
      mkdirSync(join(bench.rootfs, "elsewhere"), { recursive: true });
      symlinkSync("/elsewhere", join(bench.rootfs, name));
      try {
        refused(() => {}, new RegExp(`/${name} must be mounted on ordinary directory`));
        assert.deepEqual(readdirSync(join(bench.rootfs, "elsewhere")), []);
      } finally {
        rmSync(join(bench.rootfs, name));
        mkdirSync(join(bench.rootfs, name));
      }
    });
  }
});

describe("a setting of the kernel (linux.sysctl)", () => {
  const forward: Bend = (config) => (config.linux.sysctl = { "net.ipv4.ip_forward": "1" });

  test("is written to the kernel where the container has no procfs but a volume with the same names", () => {
    // /proc stays empty in config.json; the image brings the names.
    cpSync(decoy, join(bench.rootfs, "proc"), { recursive: true });
    try {
      const result = bench.run(["cat", "/proc/sys/net/ipv4/ip_forward"], (config) => {
        withoutMount(config, "/proc");
        config.linux.maskedPaths = [];
        config.linux.readonlyPaths = [];
        forward(config);
      });
      assert.equal(result.stdout, "untouched", bench.lastError());
    } finally {
      rmSync(join(bench.rootfs, "proc"), { recursive: true });
      mkdirSync(join(bench.rootfs, "proc"));
    }
  });

  for (const name of [
    "net.ipv4.../../../kernel/core_pattern",
    "net/../kernel/core_pattern",
    "net...kernel.core_pattern",
  ]) {
    test(`of the name ${name} is refused`, () => {
      const before = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
      refused((config) => (config.linux.sysctl = { [name]: "|/tmp/evil" }), /./);
      assert.equal(readFileSync("/proc/sys/kernel/core_pattern", "utf8"), before);
    });
  }

  test("reaches the kernel while another process exchanges the files of a shared /proc directory", () => {
    const swap = build("swap", join(bench.path, "swap"));
    const [one, two] = [join(bench.rootfs, "proc"), join(bench.rootfs, "proc-other")];
    mkdirSync(two);
    try {
      using _racing = race(swap, [one, two]);
      bench.configure(["cat", "/proc/sys/net/ipv4/ip_forward"], forward);
      for (let round = 0; round < 30; round++) {
        const result = bench.runc(["run", bench.newId()]);
        // The root's own /proc may have been moved away before it was mounted on; then there is none to read.
        if (result.status === 0) assert.equal(result.stdout, "1\n");
      }
    } finally {
      for (const path of [one, two]) rmSync(path, { recursive: true, force: true });
      mkdirSync(one);
    }
  });
});

describe("a label (process.apparmorProfile, process.selinuxLabel)", () => {
  test("is written to the kernel or not at all, never to a file of the container", () => {
    cpSync(decoy, join(bench.rootfs, "proc"), { recursive: true });
    try {
      const bend: Bend = (config) => {
        withoutMount(config, "/proc");
        config.linux.maskedPaths = [];
        config.linux.readonlyPaths = [];
        config.process.apparmorProfile = "gantry-none";
      };
      const result = bench.run(["true"], bend);
      if (!existsSync("/sys/kernel/security/apparmor")) {
        assert.equal(result.status, 1);
        assert.match(bench.lastError(), /apparmor failed to apply profile/);
      }
      assert.equal(readFileSync(join(bench.rootfs, "proc/self/attr/exec"), "utf8"), "untouched");
      // As exec does it, in a container that is there.
      const id = bench.start(["sleep", "60"], (config) => {
        bend(config);
        config.process.apparmorProfile = "";
      });
      assert.equal(bench.runc(["exec", "--apparmor", "gantry-none", id, "true"]).status, 255);
      assert.match(bench.lastError(), /apparmor failed to apply profile/);
      assert.equal(readFileSync(join(bench.rootfs, "proc/self/attr/exec"), "utf8"), "untouched");
      bench.runc(["delete", "--force", id]);
    } finally {
      rmSync(join(bench.rootfs, "proc"), { recursive: true });
      mkdirSync(join(bench.rootfs, "proc"));
    }
  });
});

describe("the host's core_pattern and its like", () => {
  const targets =
    "/proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/kernel/modprobe /proc/sys/vm/panic_on_oom";
  const write = "[ -e $f ] || continue; echo x 2>/dev/null > $f && echo WRITTEN $f";
  const script = `for f in ${targets}; do ${write}; done; true`;

  for (const [how, bend] of [
    ["with the rights of every day", () => {}],
    [
      "with the right to override permissions",
      (config: Config) => {
        const names = ["CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_MKNOD", "CAP_SYS_CHROOT"];
        config.process.capabilities = { bounding: names, effective: names, permitted: names };
      },
    ],
  ] as const) {
    for (const noPivot of [false, true]) {
      test(`are not written ${how}${noPivot ? ", with --no-pivot" : ""}`, () => {
        const before = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
        bench.configure(["sh", "-c", script], bend);
        const flags = noPivot ? ["--no-pivot"] : [];
        const result = bench.runc(["run", ...flags, bench.newId()]);
        assert.equal(result.status, 0, result.stderr);
        assert.doesNotMatch(result.stdout, /WRITTEN/);
        assert.equal(readFileSync("/proc/sys/kernel/core_pattern", "utf8"), before);
      });
    }
  }

  for (const noPivot of [false, true]) {
    test(`are not reached by a second procfs in a user namespace${noPivot ? ", with --no-pivot" : ""}`, () => {
      // The kernel asks whether one without masks is in sight: behind --no-pivot that would be the old root's, where
      // the machine's own is whole.
      const inner = "mkdir -p /tmp/p && unshare -Urmpf sh -c 'mount -t proc proc /tmp/p && echo MOUNTED'; echo end";
      bench.configure(["sh", "-c", inner]);
      const result = bench.runc(["run", ...(noPivot ? ["--no-pivot"] : []), bench.newId()]);
      assert.equal(result.stdout, "end\n", bench.lastError());
    });
  }
});

test("after all of this nothing is left", () => assert.deepEqual(bench.leftovers(), []));
