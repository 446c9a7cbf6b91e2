// The version text; dockerd reads its first two lines, people the rest.

import { SPEC_VERSION, VERSION } from "../../container/version.ts";

export function versionText(): string {
  return `runc version ${VERSION}\ncommit: gantry\nspec: ${SPEC_VERSION}\nlibseccomp: 2.5.4\n`;
}
