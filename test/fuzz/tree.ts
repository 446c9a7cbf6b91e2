// JSON as a tree that can also say what JSON.stringify cannot: a key twice, numbers of any length, any text between.

export type Node =
  | { kind: "object"; members: [key: string, value: Node][] }
  | { kind: "array"; items: Node[] }
  /** As it stands in the text: a number, a quoted string, null, or what is none of these. */
  | { kind: "raw"; text: string };

export function parseTree(text: string): Node {
  return treeOf(JSON.parse(text));
}

export function treeOf(value: unknown): Node {
  if (Array.isArray(value)) return { kind: "array", items: value.map(treeOf) };
  if (typeof value === "object" && value !== null) {
    return { kind: "object", members: Object.entries(value).map(([key, part]) => [key, treeOf(part)]) };
  }
  return { kind: "raw", text: JSON.stringify(value) };
}

export function textOf(node: Node): string {
  const parts: string[] = [];
  write(node, parts);
  return parts.join("");
}

function write(node: Node, into: string[]): void {
  if (node.kind === "raw") into.push(node.text);
  else if (node.kind === "array") {
    into.push("[");
    node.items.forEach((item, index) => {
      if (index > 0) into.push(",");
      write(item, into);
    });
    into.push("]");
  } else {
    into.push("{");
    node.members.forEach(([key, value], index) => {
      into.push(`${index > 0 ? "," : ""}${JSON.stringify(key)}:`);
      write(value, into);
    });
    into.push("}");
  }
}

/** A place in the tree: where a node stands, so that another can be put there. */
export interface Place {
  node: Node;
  set(other: Node): void;
  remove(): void;
}

/** Every place below the root, in the order of the text. */
export function placesOf(root: Node): Place[] {
  const places: Place[] = [];
  collect(root, places);
  return places;
}

function collect(node: Node, into: Place[]): void {
  if (node.kind === "array") {
    node.items.forEach((item, index) => {
      into.push({
        node: item,
        set: (other) => void (node.items[index] = other),
        remove: () => void node.items.splice(index, 1),
      });
      collect(item, into);
    });
  } else if (node.kind === "object") {
    node.members.forEach((member, index) => {
      into.push({
        node: member[1],
        set: (other) => void (member[1] = other),
        remove: () => void node.members.splice(index, 1),
      });
      collect(member[1], into);
    });
  }
}
