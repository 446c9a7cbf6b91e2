// The Node programs: one bundle that every daemon name starts.

export async function buildDaemons(): Promise<void> {}
