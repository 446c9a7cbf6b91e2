// The shim's contract and its memory kills beside the original's where cgroup v2 is alone: what test/swap and test/path
// say of them elsewhere, said there.

import "../path/shim.test.ts";
import "../swap/shim-contract.test.ts";
