// Node's native UTF-8 codec under the rule of base/bytes.ts: what is no valid UTF-8 goes through surrogate escapes,
// which the native one does not know, so such text and such bytes take the portable way.

import { isUtf8 } from "node:buffer";
import { portableUtf8, type Utf8Codec } from "../../base/bytes.ts";

const encoder = new TextEncoder();

export const nodeUtf8: Utf8Codec = {
  encode: (text) => (text.isWellFormed() ? encoder.encode(text) : portableUtf8.encode(text)),
  decode(bytes) {
    if (!isUtf8(bytes)) return portableUtf8.decode(bytes);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  },
};
