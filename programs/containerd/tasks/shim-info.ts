// What a shim says of itself: `<shim> -info`, options in, RuntimeInfo out.

import { spawn } from "node:child_process";
import { Any } from "../../../api/wellknown/gen/any.ts";
import { Failure } from "../../../base/errors.ts";

const INFO_TIMEOUT = 10_000; // milliseconds
const INFO_LIMIT = 1 << 20; // bytes

export function shimInfo(path: string, options: Any | null): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, ["-info"], { stdio: ["pipe", "pipe", "ignore"], timeout: INFO_TIMEOUT });
    const pieces: Buffer[] = [];
    let size = 0;
    child.stdout.on("data", (piece: Buffer) => {
      size += piece.length;
      if (size <= INFO_LIMIT) pieces.push(piece);
    });
    child.on("error", (cause) => reject(new Failure("unknown", `${path} -info cannot be run`, { cause })));
    child.on("close", (code) => {
      if (code === 0 && size <= INFO_LIMIT) resolve(Buffer.concat(pieces));
      else reject(new Failure("unimplemented", `${path} does not say what it is: -info gave exit status ${code}`));
    });
    child.stdin.on("error", () => {});
    child.stdin.end(options === null ? new Uint8Array(0) : Any.encode(options));
  });
}
