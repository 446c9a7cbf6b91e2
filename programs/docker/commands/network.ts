// The commands of docker network.

import type { NetworkInspect, PruneResponse } from "../../../api/engine/system.ts";
import { messageOf } from "../../../base/errors.ts";
import { commaList, mapOf } from "../../../base/flags/values.ts";
import type { Command, Group } from "../command.ts";
import { ExitStatus } from "../failure.ts";
import { joinMap, type RowKind, renderRows, shortId } from "../format/rows.ts";
import { checkLabel, toMap } from "../options/values.ts";
import { pathSegment } from "../reference.ts";
import { confirm, FORMAT_USAGE, filterFlag, formatFilters } from "./shared.ts";
import { inspectKind } from "./system/inspect.ts";
import { compareNatural } from "./volume.ts";

const ls: Command = {
  name: "ls",
  aliases: ["list"],
  summary: "List networks",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const filters = filterFlag(set);
    const format = set.string("format", "", FORMAT_USAGE);
    const noTrunc = set.bool("no-trunc", "", "Do not cut the output");
    const quiet = set.bool("quiet", "q", "Show ids only");
    return async (cli) => {
      const networks = await cli.engine.get<NetworkInspect[]>("/networks", { filters: formatFilters(filters.value) });
      const chosen = format.value || (quiet.value ? "" : (cli.config.networksFormat ?? ""));
      networks.sort((a, b) => compareNatural(a.Name, b.Name));
      const table = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
      const rowFormat = { format: chosen, table, quiet: quiet.value ? "ID" : null };
      cli.out.print(renderRows(networkRows(!noTrunc.value), networks, rowFormat));
    };
  },
};

function networkRows(cut: boolean): RowKind<NetworkInspect> {
  return {
    goType: "*network.networkContext",
    titles: {
      ID: "NETWORK ID",
      Name: "NAME",
      Driver: "DRIVER",
      Scope: "SCOPE",
      IPv4: "IPV4",
      IPv6: "IPV6",
      Internal: "INTERNAL",
      Labels: "LABELS",
      CreatedAt: "CREATED AT",
    },
    fields: {
      CreatedAt: (network) => network.Created.replace("T", " ").replace("Z", " +0000 UTC"),
      Driver: (network) => network.Driver,
      ID: (network) => (cut ? shortId(network.Id) : network.Id),
      IPv4: (network) => String(network.EnableIPv4 ?? false),
      IPv6: (network) => String(network.EnableIPv6),
      Internal: (network) => String(network.Internal),
      Label: (network) => (name: unknown) => network.Labels?.[String(name)] ?? "",
      Labels: (network) => joinMap(network.Labels),
      Name: (network) => network.Name,
      Scope: (network) => network.Scope,
    },
  };
}

const create: Command = {
  name: "create",
  summary: "Create a network",
  usage: "[OPTIONS] NETWORK",
  args: [1, 1],
  define(set) {
    const strings = (name: string, usage: string) => set.add(commaList(), [name, ""], { usage, initial: [] });
    const map = (name: string, short: string, usage: string) =>
      set.add(mapOf(), [name, short], { usage, initial: new Map() });
    const attachable = set.bool("attachable", "", "Let containers be attached by hand");
    const auxAddress = map("aux-address", "", "Addresses the driver uses itself");
    const configFrom = set.string("config-from", "", "Network to copy the configuration from");
    const configOnly = set.bool("config-only", "", "Create only a configuration");
    const driver = set.string("driver", "d", "Driver of the network", "bridge");
    const gateway = strings("gateway", "Gateway of the subnet");
    const ingress = set.bool("ingress", "", "Create the routing mesh of a swarm");
    const internal = set.bool("internal", "", "Keep the outside out of reach");
    const ipRange = strings("ip-range", "Take addresses from this part of the subnet");
    const ipamDriver = set.string("ipam-driver", "", "Driver of addresses", "default");
    const ipamOptions = map("ipam-opt", "", "Options of the driver of addresses");
    const ipv4 = set.bool("ipv4", "", "Use IPv4", true);
    const ipv6 = set.bool("ipv6", "", "Use IPv6");
    const labels = set.list("label", "", "Set labels");
    const options = map("opt", "o", "Options of the driver");
    const scope = set.string("scope", "", "Scope of the network");
    const subnet = strings("subnet", "Subnet in CIDR form");
    return async (cli, [name]) => {
      const pools = ipamConfig({
        subnets: subnet.value,
        ranges: ipRange.value,
        gateways: gateway.value,
        auxiliary: auxAddress.value,
      });
      const answer = await cli.engine.post<{ Id: string; Warning: string }>("/networks/create", {
        json: {
          Driver: driver.value,
          Scope: scope.value,
          ...(ipv4.changed ? { EnableIPv4: ipv4.value } : {}),
          ...(ipv6.changed ? { EnableIPv6: ipv6.value } : {}),
          IPAM: { Driver: ipamDriver.value, Options: Object.fromEntries(ipamOptions.value), Config: pools },
          Internal: internal.value,
          Attachable: attachable.value,
          Ingress: ingress.value,
          ConfigOnly: configOnly.value,
          ConfigFrom: configFrom.value === "" ? null : { Network: configFrom.value },
          Options: Object.fromEntries(options.value),
          Labels: toMap(labels.value.map(checkLabel)),
          Name: name!,
        },
      });
      if (answer.Warning) cli.err.line(`WARNING: ${answer.Warning}`);
      cli.out.line(answer.Id);
    };
  },
};

interface PoolFlags {
  subnets: readonly string[];
  ranges: readonly string[];
  gateways: readonly string[];
  auxiliary: ReadonlyMap<string, string>;
}

/** One entry per subnet; ranges, gateways and further addresses go to the subnet of their family, in order. */
function ipamConfig(flags: PoolFlags): object[] {
  if (flags.subnets.length === 0 && (flags.ranges.length > 0 || flags.gateways.length > 0)) {
    throw new ExitStatus(
      1,
      `no matching subnet for ${flags.ranges.length > 0 ? `range ${flags.ranges[0]}` : `gateway ${flags.gateways[0]}`}`,
    );
  }
  const family = (address: string) => (address.includes(":") ? 6 : 4);
  const ranges = [...flags.ranges];
  const gateways = [...flags.gateways];
  const take = (list: string[], subnet: string) => {
    const at = list.findIndex((address) => family(address) === family(subnet));
    return at < 0 ? undefined : list.splice(at, 1)[0];
  };
  return flags.subnets.map((subnet) => {
    const IPRange = take(ranges, subnet);
    const Gateway = take(gateways, subnet);
    const auxiliary = [...flags.auxiliary].filter(([, address]) => family(address) === family(subnet));
    return {
      Subnet: subnet,
      ...(IPRange === undefined ? {} : { IPRange }),
      ...(Gateway === undefined ? {} : { Gateway }),
      ...(auxiliary.length === 0 ? {} : { AuxiliaryAddresses: Object.fromEntries(auxiliary) }),
    };
  });
}

const rm: Command = {
  name: "rm",
  aliases: ["remove"],
  summary: "Remove one or more networks",
  usage: "NETWORK [NETWORK...]",
  args: [1, null],
  define(set) {
    const force = set.bool("force", "f", "Do not fail when the network does not exist");
    return async (cli, names) => {
      let failed = false;
      for (const name of names) {
        try {
          await cli.engine.json("DELETE", `/networks/${pathSegment(name)}`);
          cli.out.line(name);
        } catch (thrown) {
          if (force.value && /not found/.test(messageOf(thrown))) continue;
          cli.err.line(messageOf(thrown));
          failed = true;
        }
      }
      if (failed) throw new ExitStatus(1, "exit status 1");
    };
  },
};

const prune: Command = {
  name: "prune",
  summary: "Remove all unused networks",
  usage: "[OPTIONS]",
  args: [0, 0],
  define(set) {
    const force = set.bool("force", "f", "Do not ask");
    const filters = filterFlag(set, "", "Which to remove (until=<timestamp>)");
    return async (cli) => {
      const warning = "WARNING! This will remove all custom networks not used by at least one container.";
      if (!force.value && !(await confirm(cli, warning))) throw new ExitStatus(1, "network prune has been cancelled");
      const answer = await cli.engine.post<PruneResponse>("/networks/prune", {
        query: { filters: formatFilters(filters.value) },
      });
      const deleted = answer.NetworksDeleted ?? [];
      if (deleted.length > 0) cli.out.print(`Deleted Networks:\n${deleted.map((name) => `${name}\n`).join("")}\n`);
    };
  },
};

const connect: Command = {
  name: "connect",
  summary: "Connect a container to a network",
  usage: "[OPTIONS] NETWORK CONTAINER",
  args: [2, 2],
  define(set) {
    const strings = (name: string, usage: string) => set.add(commaList(), [name, ""], { usage, initial: [] });
    const alias = strings("alias", "Alias of the container on the network");
    const driverOptions = strings("driver-opt", "Options of the driver");
    const priority = set.int("gw-priority", "", "The highest one gives the default gateway");
    const ip = set.string("ip", "", "IPv4 address");
    const ip6 = set.string("ip6", "", "IPv6 address");
    const link = set.list("link", "", "Link to another container");
    const linkLocal = strings("link-local-ip", "Link-local addresses");
    return async (cli, [network, container]) => {
      const EndpointConfig = {
        IPAMConfig: {
          ...(ip.value === "" ? {} : { IPv4Address: ip.value }),
          ...(ip6.value === "" ? {} : { IPv6Address: ip6.value }),
          ...(linkLocal.value.length === 0 ? {} : { LinkLocalIPs: linkLocal.value }),
        },
        Links: link.value.length === 0 ? null : link.value,
        Aliases: alias.value,
        DriverOpts: toMap(driverOptions.value),
        GwPriority: priority.value,
      };
      await cli.engine.post(`/networks/${pathSegment(network!)}/connect`, {
        json: { Container: container!, EndpointConfig },
      });
    };
  },
};

const disconnect: Command = {
  name: "disconnect",
  summary: "Disconnect a container from a network",
  usage: "[OPTIONS] NETWORK CONTAINER",
  args: [2, 2],
  define(set) {
    const force = set.bool("force", "f", "Force the container off the network");
    return async (cli, [network, container]) => {
      const json = { Container: container!, Force: force.value };
      await cli.engine.post(`/networks/${pathSegment(network!)}/disconnect`, { json });
    };
  },
};

export const NETWORK_GROUP: Group = {
  name: "network",
  summary: "Manage networks",
  commands: [
    connect,
    create,
    disconnect,
    inspectKind("network", "Display detailed information on one or more networks"),
    ls,
    prune,
    rm,
  ],
};
