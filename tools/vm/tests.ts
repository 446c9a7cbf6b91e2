// The tests for the virtual machine, each with all it imports as one script. Node would strip the types of some sixty
// files there, with a WebAssembly program that is compiled anew in each process: that is most of a file's time under
// emulation, and what an emulated processor is worst at. Called by main.ts.

import { readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { build, type Plugin } from "esbuild";
import { layout } from "../build/paths.ts";

/** Where the guest has the checkout. */
export const GUEST_ROOT = "/gantry";

/** A module's own place in the checkout, as it is in the guest. */
const places: Plugin = {
  name: "places",
  setup(bundler) {
    bundler.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const place = join(GUEST_ROOT, relative(layout.root, path));
      const contents = readFileSync(path, "utf8")
        .replaceAll("import.meta.dirname", JSON.stringify(dirname(place)))
        .replaceAll("import.meta.url", JSON.stringify(`file://${place}`));
      return { contents, loader: "ts" };
    });
  },
};

/** `paths` are relative to the checkout, and so are the scripts that come back. */
export async function bundleTests(paths: readonly string[]): Promise<string[]> {
  const folder = join(layout.work, "vm-tests");
  await build({
    entryPoints: paths.map((path) => join(layout.root, path)),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "esnext",
    sourcemap: "inline",
    logLevel: "warning",
    plugins: [places],
  });
  return paths.map((path) => join(relative(layout.root, folder), basename(path).replace(/\.ts$/, ".mjs")));
}
