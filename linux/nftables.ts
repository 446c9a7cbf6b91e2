// nftables over NETLINK_NETFILTER: transactions on tables, chains, rules, maps and their elements, and the few lists
// that a guest in a foreign firewall has to read. A transaction is one datagram: all of it happens or nothing.

import type { Bytes } from "../base/bytes.ts";
import { door } from "./door.ts";
import { ENOENT, errnoOf } from "./errno.ts";
import * as nl from "./netlink.ts";
import type { Expression } from "./nftables-expression.ts";

const NFPROTO_IPV4 = 2;
const SUBSYSTEM = 10 << 8;
const BATCH_BEGIN = 16;
const BATCH_END = 17;
const NEWTABLE = SUBSYSTEM | 0;
const GETTABLE = SUBSYSTEM | 1;
const DELTABLE = SUBSYSTEM | 2;
const NEWCHAIN = SUBSYSTEM | 3;
const GETCHAIN = SUBSYSTEM | 4;
const NEWRULE = SUBSYSTEM | 6;
const GETRULE = SUBSYSTEM | 7;
const DELRULE = SUBSYSTEM | 8;
const NEWSET = SUBSYSTEM | 9;
const NEWSETELEM = SUBSYSTEM | 12;
const GETSETELEM = SUBSYSTEM | 13;
const DELSETELEM = SUBSYSTEM | 14;
const NFT_SET_MAP = 8;
const NESTED = nl.NLA_F_NESTED;
/** Elements in one message: its list's length has 16 bits. */
const ELEMENTS_PER_MESSAGE = 500;

const HOOKS = { prerouting: 0, forward: 2, output: 3, postrouting: 4 } as const;

export interface BaseChain {
  name: string;
  type: "filter" | "nat";
  hook: keyof typeof HOOKS;
  /** Lower runs earlier: -100 destination NAT, 0 filter, 100 source NAT. */
  priority: number;
}

export interface NewMap {
  name: string;
  /** Lengths in bytes, each part of a concatenation filled up to four. */
  keyLength: number;
  valueLength: number;
  /** The types' numbers as the nft command shows them; the kernel only keeps them. */
  keyType: number;
  valueType: number;
}

export interface MapElement {
  key: Uint8Array;
  value: Uint8Array;
}

export interface ChainFacts {
  /** NFPROTO_*: 1 inet, 2 IPv4, ... */
  family: number;
  table: string;
  name: string;
  /** Null for a chain that is only jumped to. */
  hook: number | null;
  policy: "accept" | "drop" | null;
}

/** The hook number of "forward" in ChainFacts. */
export const NFPROTO_INET4: number = NFPROTO_IPV4;
export const HOOK_FORWARD: number = HOOKS.forward;

/** struct nfgenmsg: u8 family, u8 version, be16 resource */
function header(family: number, resource = 0): Uint8Array {
  return Uint8Array.of(family, 0, resource >> 8, resource & 255);
}

/** Changes to IPv4 tables, gathered in order. */
export class Transaction {
  readonly #messages: nl.MessageWriter[] = [];

  addTable(table: string): this {
    this.#add(NEWTABLE, nl.NLM_F_CREATE).text(1, table);
    return this;
  }

  deleteTable(table: string): this {
    this.#add(DELTABLE, 0).text(1, table);
    return this;
  }

  addBaseChain(table: string, chain: BaseChain): this {
    const message = this.#add(NEWCHAIN, nl.NLM_F_CREATE).text(1, table).text(3, chain.name);
    message.nest(4 | NESTED, () => void message.be32(1, HOOKS[chain.hook]).be32(2, chain.priority));
    message.be32(5, 1).text(7, chain.type);
    return this;
  }

  addChain(table: string, name: string): this {
    this.#add(NEWCHAIN, nl.NLM_F_CREATE).text(1, table).text(3, name);
    return this;
  }

  /** Appends, or with `first` puts it before all others. `rulesWith` finds it again by its `mark`. */
  addRule(where: { table: string; chain: string; first?: boolean; mark?: string }, rule: readonly Expression[]): this {
    const order = where.first === true ? 0 : nl.NLM_F_APPEND;
    const message = this.#add(NEWRULE, nl.NLM_F_CREATE | order)
      .text(1, where.table)
      .text(2, where.chain);
    message.nest(4 | NESTED, () => {
      for (const expression of rule) {
        message.nest(1 | NESTED, () => {
          message.text(1, expression.name).nest(2 | NESTED, () => expression.write(message));
        });
      }
    });
    if (where.mark !== undefined) message.bytes(7, commentOf(where.mark));
    return this;
  }

  deleteRule(table: string, chain: string, handle: bigint): this {
    this.#add(DELRULE, 0).text(1, table).text(2, chain).be64(3, handle);
    return this;
  }

  addMap(table: string, map: NewMap): this {
    const message = this.#add(NEWSET, nl.NLM_F_CREATE).text(1, table).text(2, map.name).be32(3, NFT_SET_MAP);
    message.be32(4, map.keyType).be32(5, map.keyLength).be32(6, map.valueType).be32(7, map.valueLength);
    // An id within the transaction is obligatory.
    message.be32(10, this.#messages.length);
    return this;
  }

  /** An element that is there with the same value is no error, one with another value is. */
  addElements(table: string, map: string, elements: readonly MapElement[]): this {
    return this.#elements(NEWSETELEM, [table, map], elements);
  }

  deleteElements(table: string, map: string, keys: readonly Uint8Array[]): this {
    return this.#elements(
      DELSETELEM,
      [table, map],
      keys.map((key) => ({ key, value: null })),
    );
  }

  #elements(
    type: number,
    [table, map]: [string, string],
    all: readonly { key: Uint8Array; value: Bytes | Uint8Array | null }[],
  ): this {
    for (let at = 0; at < all.length; at += ELEMENTS_PER_MESSAGE) {
      const message = this.#add(type, type === NEWSETELEM ? nl.NLM_F_CREATE : 0)
        .text(1, table)
        .text(2, map);
      message.nest(3 | NESTED, () => {
        for (const { key, value } of all.slice(at, at + ELEMENTS_PER_MESSAGE)) {
          message.nest(1 | NESTED, () => {
            message.nest(1 | NESTED, () => void message.bytes(1, key));
            if (value !== null) message.nest(2 | NESTED, () => void message.bytes(1, value));
          });
        }
      });
    }
    return this;
  }

  get empty(): boolean {
    return this.#messages.length === 0;
  }

  /** The datagram's messages, between the batch's begin and end. */
  encode(nextSequence: () => number): Bytes[] {
    const frame = (type: number) =>
      new nl.MessageWriter(type, nl.NLM_F_REQUEST, nextSequence()).raw(header(0, 10)).finish();
    const begin = frame(BATCH_BEGIN);
    const inside = this.#messages.map((message) => {
      const bytes = message.finish();
      new DataView(bytes.buffer).setUint32(8, nextSequence(), true);
      return bytes;
    });
    return [begin, ...inside, frame(BATCH_END)];
  }

  #add(type: number, flags: number): nl.MessageWriter {
    // No acknowledgements are asked for: a refused message is reported anyway, and silence means it happened.
    const message = new nl.MessageWriter(type, nl.NLM_F_REQUEST | flags).raw(header(NFPROTO_IPV4));
    this.#messages.push(message);
    return message;
  }
}

/** The user data that the nft command shows as a comment: type 0, length, text with NUL. */
function commentOf(text: string): Bytes {
  const bytes = door().encode(text);
  const data = new Uint8Array(bytes.length + 3);
  data[1] = bytes.length + 1;
  data.set(bytes, 2);
  return data;
}

/** A socket of one network namespace. */
export class NftablesSocket implements Disposable {
  readonly #socket = new nl.NetlinkSocket(nl.NETLINK_NETFILTER);

  /** Throws SyscallFailure naming `subject` when the kernel refuses any part; then nothing has changed. */
  commit(subject: string, transaction: Transaction): void {
    if (transaction.empty) return;
    this.#socket.request(
      subject,
      transaction.encode(() => this.#socket.nextSequence()),
    );
  }

  /** Names of the IPv4 tables. */
  tables(): string[] {
    return this.#dump("nftables tables", GETTABLE, []).map((found) => nl.textOf(found.get(1)!));
  }

  /** Of all families. */
  chains(): ChainFacts[] {
    return this.#answers("nftables chains", GETCHAIN, { family: 0, names: [] }).map(({ body }) => {
      const found = nl.attributes(body.subarray(4));
      const hook = found.get(4);
      const policy = found.get(5);
      return {
        family: body[0]!,
        table: nl.textOf(found.get(1)!),
        name: nl.textOf(found.get(3)!),
        hook: hook === undefined ? null : nl.be32Of(nl.attributes(hook).get(1)!),
        policy: policy === undefined ? null : nl.be32Of(policy) === 0 ? "drop" : "accept",
      };
    });
  }

  /** Handles of the chain's rules that carry this mark. */
  rulesWith(table: string, chain: string, mark: string): bigint[] {
    const comment = commentOf(mark);
    return this.#dump("nftables rules", GETRULE, [table, chain]).flatMap((found) => {
      const data = found.get(7);
      if (data === undefined || data.length !== comment.length || !data.every((byte, at) => byte === comment[at]))
        return [];
      const handle = found.get(3)!;
      return [new DataView(handle.buffer, handle.byteOffset, handle.length).getBigUint64(0)];
    });
  }

  /** A map's elements; null when there is no such map. */
  elements(table: string, map: string): MapElement[] | null {
    try {
      return this.#dump("nftables map", GETSETELEM, [table, map]).flatMap((found) => {
        const list = found.get(3);
        return list === undefined ? [] : nl.attributeList(list).map(([, element]) => elementOf(element));
      });
    } catch (thrown) {
      if (errnoOf(thrown) === ENOENT) return null;
      throw thrown;
    }
  }

  #dump(subject: string, type: number, names: readonly string[]): Map<number, Bytes>[] {
    const answers = this.#answers(subject, type, { family: NFPROTO_IPV4, names });
    return answers.map((answer) => nl.attributes(answer.body.subarray(4)));
  }

  #answers(subject: string, type: number, of: { family: number; names: readonly string[] }): nl.Answer[] {
    return this.#socket.dump(subject, () => {
      const message = new nl.MessageWriter(type, nl.NLM_F_REQUEST | nl.NLM_F_DUMP, this.#socket.nextSequence());
      message.raw(header(of.family));
      for (const [at, name] of of.names.entries()) message.text(at + 1, name);
      return message.finish();
    });
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

function elementOf(element: Bytes): MapElement {
  const found = nl.attributes(element);
  const value = (type: number) => {
    const data = found.get(type);
    return data === undefined ? new Uint8Array(0) : (nl.attributes(data).get(1) ?? new Uint8Array(0)).slice();
  };
  return { key: value(1), value: value(2) };
}
