// A cpio archive (newc), the form in which the kernel takes its first root. Written here so that building the virtual
// machine's image needs no further tool. Used by image.ts.

export interface CpioEntry {
  path: string;
  /** Type and permission bits as in st_mode. */
  mode: number;
  data: Uint8Array;
}

const MAGIC = "070701";
const ALIGN = 4;

export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  [...entries, { path: "TRAILER!!!", mode: 0, data: new Uint8Array(0) }].forEach(({ path, mode, data }, index) => {
    const name = Buffer.from(`${path}\0`);
    const links = 1;
    const fields = [index + 1, mode, 0, 0, links, 0, data.length, 0, 0, 0, 0, name.length, 0];
    const header = Buffer.from(MAGIC + fields.map((field) => field.toString(16).padStart(8, "0")).join(""));
    parts.push(padded(Buffer.concat([header, name])), padded(Buffer.from(data)));
  });
  return Buffer.concat(parts);
}

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % ALIGN;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(ALIGN - rest)]);
}
