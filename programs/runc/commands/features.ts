// `runc features`.

import { formatJson } from "../../../base/json.ts";
import { features as featuresOf } from "../../../container/features.ts";
import { type Command, print } from "../command.ts";

export const features: Command = {
  name: "features",
  arguments: "",
  summary: "show the enabled features",
  run(line) {
    line.parse(0, 0);
    print(`${formatJson(featuresOf(), 4)}\n`);
    return 0;
  },
};
