// Entry on Node, for development and for what only Node can do (a context with TLS, host names).

import { readFileSync } from "node:fs";
import { connect } from "node:tls";
import { Failure } from "../../base/errors.ts";
import { createNodeRuntime } from "../../runtime/node/runtime.ts";
import { SocketStream } from "../../runtime/node/stream.ts";
import type { TlsDialer } from "./config/endpoint.ts";
import { runDocker } from "./docker.ts";

export async function main(args: string[]): Promise<never> {
  // An open stdin would hold the process: it ends when the command does.
  process.exit(await runDocker(createNodeRuntime({ args, programName: "docker" }), dialTls));
}

const dialTls: TlsDialer = (host, port, files) => {
  const options = {
    host,
    port,
    allowHalfOpen: true,
    rejectUnauthorized: files.verify,
    ...(files.ca === "" ? {} : { ca: readFileSync(files.ca) }),
    ...(files.cert === "" ? {} : { cert: readFileSync(files.cert), key: readFileSync(files.key) }),
  };
  return new Promise((resolve, reject) => {
    const socket = connect(options);
    const failed = (error: NodeJS.ErrnoException) => {
      const refused = error.code === "ECONNREFUSED" || error.code === "ENOENT";
      const facts = refused ? { errno: error.code } : {};
      reject(new Failure("unavailable", error.message, { cause: error, facts }));
    };
    socket.once("error", failed);
    socket.once("secureConnect", () => {
      socket.off("error", failed);
      resolve(new SocketStream(socket));
    });
  });
};

if (import.meta.main) void main(process.argv.slice(2));
