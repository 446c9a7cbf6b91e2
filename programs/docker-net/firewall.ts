// The other firewalls of the host. An accept in our table does not override a drop in another one, so where an
// installed Docker closes forwarding we add marked rules at the place it keeps for others (DOCKER-USER), and where
// something else does we say what is missing.

import { messageOf } from "../../base/errors.ts";
import { readTextIfThere, writeFile } from "../../linux/fd.ts";
import * as nft from "../../linux/nftables.ts";
import * as rule from "../../linux/nftables-expression.ts";

const FORWARDING = "/proc/sys/net/ipv4/ip_forward";
const LEGACY_TABLES = "/proc/net/ip_tables_names";
const USER_CHAIN = { table: "filter", chain: "DOCKER-USER" };

function markOf(bridge: string): string {
  return `gantry ${bridge}`;
}

/** Lets the bridge's traffic through as far as that is possible; gives sentences about what is still closed. */
export function openForwarding(socket: nft.NftablesSocket, bridge: string): string[] {
  const warnings: string[] = [];
  const chains = socket.chains();
  const closed = chains.filter((chain) => chain.hook === nft.HOOK_FORWARD && chain.policy === "drop");
  const isUserChain = (chain: nft.ChainFacts) =>
    chain.family === nft.NFPROTO_INET4 && chain.table === USER_CHAIN.table && chain.name === USER_CHAIN.chain;
  const guest = chains.some(isUserChain);
  if (guest) addGuestRules(socket, bridge);
  for (const chain of closed) {
    if (guest && chain.family === nft.NFPROTO_INET4 && chain.table === USER_CHAIN.table) continue;
    warnings.push(
      `the firewall's chain ${chain.name} of table ${chain.table} drops forwarded packets: ` +
        `let those of interface ${bridge} pass there, or containers do not reach the world, nor the world them`,
    );
  }
  if ((readTextIfThere(LEGACY_TABLES) ?? "").split("\n").includes("filter")) {
    warnings.push(
      `rules of iptables-legacy are in force, which cannot be seen here: if its chain FORWARD drops, ` +
        `let packets of interface ${bridge} pass`,
    );
  }
  return warnings;
}

export function forwardingIsOff(): boolean {
  return readTextIfThere(FORWARDING)?.trim() === "0";
}

/** Called once the rules that keep the host's other interfaces apart are in force (rules.ts). */
export function turnForwardingOn(): string[] {
  try {
    writeFile(FORWARDING, "1\n");
    return [];
  } catch (thrown) {
    return [`net.ipv4.ip_forward is off and could not be turned on: ${messageOf(thrown)}`];
  }
}

/** Back to what it was before us, unless another engine or an installed Docker needs it meanwhile. */
export function turnForwardingOff(socket: nft.NftablesSocket): void {
  const others = socket.chains().some((chain) => chain.table.startsWith("gantry_") || chain.name === "DOCKER");
  if (!others) writeFile(FORWARDING, "0\n");
}

function addGuestRules(socket: nft.NftablesSocket, bridge: string): void {
  const mark = markOf(bridge);
  if (socket.rulesWith(USER_CHAIN.table, USER_CHAIN.chain, mark).length > 0) return;
  const where = { ...USER_CHAIN, first: true, mark };
  const rules = new nft.Transaction();
  rules.addRule(where, [...rule.outgoingIs(bridge), rule.verdict("accept")]);
  rules.addRule(where, [...rule.incomingIs(bridge), rule.verdict("accept")]);
  socket.commit("rules in DOCKER-USER", rules);
}

/** Takes our rules away again; what is not there is no error. */
export function closeForwarding(socket: nft.NftablesSocket, bridge: string): void {
  const { table, chain } = USER_CHAIN;
  if (!socket.chains().some((one) => one.family === nft.NFPROTO_INET4 && one.table === table && one.name === chain)) {
    return;
  }
  const rules = new nft.Transaction();
  for (const handle of socket.rulesWith(table, chain, markOf(bridge))) rules.deleteRule(table, chain, handle);
  socket.commit("rules in DOCKER-USER", rules);
}
