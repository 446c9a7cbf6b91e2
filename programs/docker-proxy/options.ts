// docker-proxy's command line, in Go's flag style: what dockerd passes for each published port and family.

import { Failure, messageOf } from "../../base/errors.ts";
import { FlagSet, HelpRequested } from "../../base/flags/flagset.ts";
import { type Endpoint, parseAddress } from "../../linux/inet.ts";

export const VERSION = "0.1.0";

export interface Options {
  protocol: "tcp" | "udp";
  host: Endpoint;
  container: Endpoint;
  /** Descriptor 4 is the bound (and, for tcp, listening) socket. */
  useListenFd: boolean;
}

/** Ends the program with this code after printing the text. */
export class Ending {
  readonly code: number;
  readonly output: 1 | 2;
  readonly text: string;

  constructor(code: number, output: 1 | 2, text: string) {
    this.code = code;
    this.output = output;
    this.text = text;
  }
}

function usage(name: string): string {
  return `Usage of ${name}:
  -container-ip string
    \tcontainer ip
  -container-port int
    \tcontainer port (default -1)
  -host-ip string
    \thost ip
  -host-port int
    \thost port (default -1)
  -proto string
    \tproxy protocol (default "tcp")
  -use-listen-fd
    \tuse a supplied listen fd
  -v\tprint version information and quit
  -version
    \tprint version information and quit
`;
}

/** Throws Failure with a sentence for dockerd about values that cannot be used. */
export function readOptions(name: string, args: readonly string[]): Options | Ending {
  const flags = new FlagSet("go");
  const protocol = flags.string("proto", "", "proxy protocol", "tcp");
  const hostIp = flags.string("host-ip", "", "host ip");
  const hostPort = flags.int("host-port", "", "host port", -1);
  const containerIp = flags.string("container-ip", "", "container ip");
  const containerPort = flags.int("container-port", "", "container port", -1);
  const useListenFd = flags.bool("use-listen-fd", "", "use a supplied listen fd");
  const version = flags.bool("version", "v", "print version information and quit");
  try {
    flags.parse([...args]);
  } catch (thrown) {
    if (thrown instanceof HelpRequested) return new Ending(0, 2, usage(name));
    return new Ending(2, 2, `${messageOf(thrown)}\n${usage(name)}`);
  }
  if (version.value) return new Ending(0, 1, `docker-proxy (Gantry) version ${VERSION}\n`);
  if (protocol.value === "sctp") {
    throw new Failure("unimplemented", "sctp ports cannot be proxied by this docker-proxy: publish tcp or udp");
  }
  if (protocol.value !== "tcp" && protocol.value !== "udp") {
    throw new Failure("invalid_argument", `unsupported protocol ${protocol.value}`);
  }
  return {
    protocol: protocol.value,
    host: endpoint("host", hostIp.value === "" ? "0.0.0.0" : hostIp.value, hostPort.value),
    container: endpoint("container", containerIp.value, containerPort.value),
    useListenFd: useListenFd.value,
  };
}

function endpoint(which: "host" | "container", ip: string, port: number): Endpoint {
  const address = parseAddress(ip);
  if (address === null) throw new Failure("invalid_argument", `invalid ${which} IP address "${ip}"`);
  if (port < 0 || port > 65535 || (which === "container" && port === 0)) {
    throw new Failure("invalid_argument", `invalid ${which} port ${port}`);
  }
  return { address, port };
}
