// An image for a machine without a registry: Debian's static busybox as a Docker archive, made here.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { pack } from "tar-stream";

const BUSYBOX = "/bin/busybox";
const PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n";
const GROUP = "root:x:0:\nnogroup:x:65534:\n";

/** A `docker load` archive of `name` ("busybox:latest"). The same busybox gives the same bytes. */
export async function busyboxArchive(name: string): Promise<Buffer> {
  const layer = await layerTar();
  const diff = digest(layer);
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      created: "2023-01-01T00:00:00Z",
      config: { Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], Cmd: ["sh"] },
      rootfs: { type: "layers", diff_ids: [`sha256:${diff}`] },
      history: [{ created: "2023-01-01T00:00:00Z", created_by: "busybox-static" }],
    }),
  );
  const files = { config: `${digest(config)}.json`, layer: `${diff}/layer.tar` };
  const manifest = [{ Config: files.config, RepoTags: [name], Layers: [files.layer] }];
  const archive = pack();
  archive.entry({ name: files.config }, config);
  archive.entry({ name: files.layer }, layer);
  archive.entry({ name: "manifest.json" }, JSON.stringify(manifest));
  archive.finalize();
  return buffer(archive);
}

function digest(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function layerTar(): Promise<Buffer> {
  const applets = spawnSync(BUSYBOX, ["--list"], { encoding: "utf8" }).stdout.trim().split("\n");
  const mtime = new Date(0);
  const layer = pack();
  for (const name of ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr", "usr/bin", "var"]) {
    layer.entry({ name: `${name}/`, type: "directory", mode: name === "tmp" ? 0o1777 : 0o755, mtime });
  }
  layer.entry({ name: "bin/busybox", mode: 0o755, mtime }, readFileSync(BUSYBOX));
  for (const applet of applets) {
    if (applet !== "busybox") layer.entry({ name: `bin/${applet}`, type: "symlink", linkname: "busybox", mtime });
  }
  layer.entry({ name: "usr/bin/env", type: "symlink", linkname: "../../bin/busybox", mtime });
  layer.entry({ name: "etc/passwd", mtime }, PASSWD);
  layer.entry({ name: "etc/group", mtime }, GROUP);
  layer.finalize();
  return buffer(layer);
}
