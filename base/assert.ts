// What must hold. A failed assertion is a defect of Gantry, never of its input: it names itself so.

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`impossible state: ${message}`);
}

export function unreachable(value: never, message = "unhandled case"): never {
  throw new Error(`impossible state: ${message}: ${String(value)}`);
}
