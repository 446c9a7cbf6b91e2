// docker-proxy beside the original: the same command lines, status pipe, exit codes and traffic; then the real dockerd
// with ours as its --userland-proxy-path, in a network namespace of its own.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const programs = { ours: join(root, "dist/bin/docker-proxy"), original: "/usr/sbin/docker-proxy" };
const skip = Object.values(programs).every((path) => existsSync(path))
  ? false
  : "docker-proxy is not built or the original is not installed";
const MIB = 1 << 20;

interface Proxy {
  port: number;
  child: ChildProcess;
  stop: () => Promise<number | null>;
}

/** Starts it as dockerd does, with the status pipe as descriptor 3. */
async function startProxy(program: string, protocol: string, backend: number): Promise<Proxy> {
  const port = await freePort();
  const args = ["-proto", protocol, "-host-ip", "127.0.0.1", "-host-port", `${port}`];
  args.push("-container-ip", "127.0.0.1", "-container-port", `${backend}`);
  const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit", "pipe"] });
  const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const status = await new Promise<string>((resolve) => {
    let text = "";
    const pipe = child.stdio[3] as Socket;
    pipe.on("data", (part: Buffer) => {
      text += part.toString();
    });
    pipe.on("end", () => resolve(text));
  });
  assert.equal(status, "0\n");
  const stop = () => {
    child.kill("SIGTERM");
    return exited;
  };
  return { port, child, stop };
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listening(server);
  server.close();
  return port;
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert(address !== null && typeof address === "object");
  return address.port;
}

function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }, () => resolve(socket));
    socket.on("error", reject);
  });
}

/** All bytes until the peer's end; our own half stays open. */
function drain(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    socket.on("data", (part: Buffer) => parts.push(part));
    socket.on("end", () => resolve(Buffer.concat(parts)));
    socket.on("error", reject);
  });
}

for (const [whose, program] of Object.entries(programs)) {
  test(`${whose}: a half-closed client still gets the whole answer`, { skip }, async () => {
    const server = createServer({ allowHalfOpen: true }, async (socket) => {
      const asked = await drain(socket);
      socket.end(`${asked.length} bytes, and a late answer`);
    });
    const proxy = await startProxy(program, "tcp", await listening(server));
    for (const size of [0, 1, 70_000, 5 * MIB]) {
      const client = await dial(proxy.port);
      client.end(Buffer.alloc(size, "x"));
      assert.equal((await drain(client)).toString(), `${size} bytes, and a late answer`);
    }
    server.close();
    assert.equal(await proxy.stop(), 0);
  });

  test(`${whose}: 64 MiB each way at once arrive unchanged`, { skip }, async () => {
    const block = Buffer.alloc(MIB, "0123456789abcdef-").map((byte, at) => byte ^ (at & 255));
    const want = createHash("sha256");
    for (let at = 0; at < 64; at++) want.update(block);
    const digest = want.digest("hex");
    const exchange = async (socket: Socket) => {
      const got = drain(socket);
      for (let at = 0; at < 64; at++) {
        if (!socket.write(block)) await new Promise((resolve) => socket.once("drain", resolve));
      }
      socket.end();
      return createHash("sha256")
        .update(await got)
        .digest("hex");
    };
    let served: Promise<string> | null = null;
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      served = exchange(socket);
    });
    const proxy = await startProxy(program, "tcp", await listening(server));
    assert.equal(await exchange(await dial(proxy.port)), digest);
    assert.equal(await served, digest);
    server.close();
    assert.equal(await proxy.stop(), 0);
  });

  test(`${whose}: a hundred connections at a time each get their own answer`, { skip }, async () => {
    const server = createServer((socket) => socket.on("data", (part) => socket.write(part)));
    const proxy = await startProxy(program, "tcp", await listening(server));
    const one = async (number: number) => {
      const client = await dial(proxy.port);
      client.write(`number ${number}`);
      const [answer] = await new Promise<Buffer[]>((resolve) =>
        client.once("data", (part) => resolve([part as Buffer])),
      );
      client.destroy();
      return answer?.toString();
    };
    const answers = await Promise.all(Array.from({ length: 100 }, (_none, at) => one(at)));
    assert.deepEqual(
      answers,
      answers.map((_answer, at) => `number ${at}`),
    );
    server.close();
    assert.equal(await proxy.stop(), 0);
  });

  test(`${whose}: a client is closed when the container does not answer`, { skip }, async () => {
    const proxy = await startProxy(program, "tcp", await freePort());
    const client = await dial(proxy.port);
    assert.equal((await drain(client).catch(() => Buffer.alloc(0))).length, 0);
    client.destroy();
    assert.equal(await proxy.stop(), 0);
  });

  test(`${whose}: udp answers go back to the client that asked`, { skip }, async () => {
    const server = createSocket("udp4");
    server.on("message", (text, from) => server.send(`to ${text}`, from.port, from.address));
    await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
    const proxy = await startProxy(program, "udp", server.address().port);
    const ask = (text: string) =>
      new Promise<string>((resolve) => {
        const client = createSocket("udp4");
        client.on("message", (answer, from) => {
          client.close();
          resolve(`${answer} from ${from.address}:${from.port}`);
        });
        client.send(text, proxy.port, "127.0.0.1");
      });
    const big = "x".repeat(20_000);
    const answers = await Promise.all([ask("a"), ask("b"), ask(big)]);
    const from = `from 127.0.0.1:${proxy.port}`;
    assert.deepEqual(answers, [`to a ${from}`, `to b ${from}`, `to ${big} ${from}`]);
    server.close();
    assert.equal(await proxy.stop(), 0);
  });
}

interface Refused {
  title: string;
  args: string[];
  /** Words on the status pipe; null where the original says nothing there. */
  status: string | null;
  code: number;
}

const backend = ["-container-ip", "127.0.0.1", "-container-port", "1"];
const refusals: Refused[] = [
  {
    title: "an address that is not ours is refused over the status pipe",
    args: ["-proto", "tcp", "-host-ip", "192.0.2.1", "-host-port", "4567", ...backend],
    status: "1\nlisten tcp4 192.0.2.1:4567: bind: cannot assign requested address",
    code: 1,
  },
  {
    title: "the same for udp",
    args: ["-proto", "udp", "-host-ip", "192.0.2.1", "-host-port", "4567", ...backend],
    status: "1\nlisten udp4 192.0.2.1:4567: bind: cannot assign requested address",
    code: 1,
  },
  { title: "an unknown protocol gives 1", args: ["-proto", "foo"], status: null, code: 1 },
  { title: "an unknown flag gives 2", args: ["-bogus"], status: null, code: 2 },
  { title: "a port that is no number gives 2", args: ["-host-port", "x"], status: null, code: 2 },
  { title: "-h prints usage and gives 0", args: ["-h"], status: null, code: 0 },
];

for (const one of refusals) {
  test(one.title, { skip }, () => {
    for (const program of Object.values(programs)) {
      const result = spawnSync(program, one.args, { stdio: ["ignore", "pipe", "pipe", "pipe"], encoding: "utf8" });
      assert.equal(result.status, one.code, program);
      if (one.status !== null) assert.equal(result.output[3], one.status);
    }
  });
}

test("a port that another process has is refused over the status pipe", { skip }, async () => {
  const server = createServer();
  const port = await listening(server);
  for (const program of Object.values(programs)) {
    const args = ["-host-ip", "127.0.0.1", "-host-port", `${port}`, ...backend];
    const result = spawnSync(program, args, { stdio: ["ignore", "pipe", "pipe", "pipe"], encoding: "utf8" });
    assert.equal(result.status, 1);
    assert.equal(result.output[3], `1\nlisten tcp4 127.0.0.1:${port}: bind: address already in use`);
  }
  server.close();
});

test("sctp is refused with a sentence", { skip }, () => {
  const args = ["-proto", "sctp", "-host-ip", "127.0.0.1", "-host-port", "4567", ...backend];
  const result = spawnSync(programs.ours, args, { stdio: ["ignore", "pipe", "pipe", "pipe"], encoding: "utf8" });
  assert.equal(result.status, 1);
  assert.match(result.output[3] ?? "", /^1\nsctp ports cannot be proxied/);
});

test("-use-listen-fd serves the socket that is descriptor 4", { skip }, async () => {
  const container = createServer((socket) => socket.end("through descriptor 4"));
  const server = createServer();
  const port = await listening(server);
  const handle = (server as unknown as { _handle: { fd: number } })._handle.fd;
  const containerPort = await listening(container);
  const args = ["-use-listen-fd", "-host-ip", "127.0.0.1", "-host-port", `${port}`];
  args.push("-container-ip", "127.0.0.1", "-container-port", `${containerPort}`);
  const child = spawn(programs.ours, args, { stdio: ["ignore", "inherit", "inherit", "pipe", handle] });
  const exited = new Promise((resolve) => child.on("exit", resolve));
  await new Promise((resolve) => child.stdio[3]!.once("data", resolve));
  server.close();
  const client = await dial(port);
  assert.equal((await drain(client)).toString(), "through descriptor 4");
  client.end();
  child.kill("SIGTERM");
  assert.equal(await exited, 0);
  container.close();
});

test("without a status pipe it works, too", { skip }, async () => {
  const server = createServer((socket) => socket.end("hello"));
  const containerPort = await listening(server);
  const port = await freePort();
  const args = ["-host-ip", "127.0.0.1", "-host-port", `${port}`];
  args.push("-container-ip", "127.0.0.1", "-container-port", `${containerPort}`);
  const child = spawn(programs.ours, args, { stdio: "ignore" });
  const exited = new Promise((resolve) => child.on("exit", resolve));
  let answer = "";
  for (let attempt = 0; attempt < 100 && answer === ""; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    answer = await dial(port).then(
      async (socket) => {
        const text = (await drain(socket)).toString();
        socket.end();
        return text;
      },
      () => "",
    );
  }
  assert.equal(answer, "hello");
  child.kill("SIGINT");
  assert.equal(await exited, 0);
  server.close();
});

/** Runs in a network and a mount namespace of its own: this dockerd's rules and mounts end with it. */
const WITH_DOCKERD = `
set -e
D=$1; P=
trap '[ -z "$P" ] || { kill $P; wait $P || true; }' EXIT
ip link set lo up
dockerd --data-root $D/data --exec-root $D/exec --pidfile $D/pid -H unix://$D/sock --storage-driver vfs \\
  --userland-proxy-path $2 >$D/log 2>&1 &
P=$!
export DOCKER_HOST=unix://$D/sock
for i in $(seq 100); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
mkdir -p $D/img/bin; cp $(command -v busybox) $D/img/bin/busybox
for name in sh httpd echo; do ln -s busybox $D/img/bin/$name; done
tar -C $D/img -c . | docker import - bb >/dev/null
docker run -d --name web -p 8080:80 bb sh -c 'echo served >/index.html; httpd -f -p 80 -h /' >/dev/null
for i in $(seq 50); do [ -n "$("$3" -e "$4" 127.0.0.1)" ] && break; sleep 0.05; done
echo "over IPv4: $("$3" -e "$4" 127.0.0.1)"
echo "over IPv6: $("$3" -e "$4" ::1)"
echo "proxies: $(cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o "$2 [-]proto" | wc -l)"
docker rm -f web >/dev/null
echo "after: $(cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o "$2 [-]proto" | wc -l)"
`;
/** Asks the published port; says nothing when nobody answers. */
const FETCH = `fetch("http://" + (process.argv[1] === "::1" ? "[::1]" : process.argv[1]) + ":8080/index.html")
  .then((answer) => answer.text()).then((text) => process.stdout.write(text), () => {});`;
const lacking = ["/usr/sbin/dockerd", "/usr/bin/unshare", "/usr/bin/busybox"].filter((path) => !existsSync(path));
const noDockerd = lacking.length > 0 && `missing: ${lacking.join(", ")}`;

test("the original dockerd publishes a port with ours as its userland proxy", { skip: skip || noDockerd }, () => {
  const folder = mkdtempSync(join(tmpdir(), "gantry-proxy-"));
  // A name of its own, so that no other dockerd's proxies are counted.
  const proxy = join(folder, "docker-proxy");
  symlinkSync(programs.ours, proxy);
  try {
    const line = [
      "-n",
      "-m",
      "--propagation",
      "private",
      "sh",
      "-c",
      WITH_DOCKERD,
      "sh",
      folder,
      proxy,
      process.execPath,
      FETCH,
    ];
    const result = spawnSync("unshare", line, { encoding: "utf8", timeout: 60_000 });
    const log = existsSync(join(folder, "log")) ? readFileSync(join(folder, "log"), "utf8").slice(-2000) : "";
    const lines = ["over IPv4: served", "over IPv6: served", "proxies: 2", "after: 0", ""];
    assert.equal(result.stdout, lines.join("\n"), result.stderr + log);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
