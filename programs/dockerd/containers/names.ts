// Names of containers: which are allowed, and one for those that were given none. Two words of our own lists make some
// six thousand names; a number is added when one is taken.

import { Failure } from "../../../base/errors.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

const MANNERS = (
  "able amber awake bold brave brisk calm candid clever cosy crisp curious dapper deft eager early earnest fair " +
  "fearless fond frank fresh gentle glad golden handy happy hardy honest humble jolly keen kind lively loyal lucid " +
  "mellow merry mild modest neat nimble patient plucky polite proud quick quiet ready rustic serene sharp silent " +
  "simple sincere snug sober steady sturdy sunny swift tender tidy trusty upbeat vivid warm wise witty"
).split(" ");

const THINGS = (
  "anchor anvil arbor barge beacon bobbin bollard bramble brook buoy cairn canal capstan cedar chisel cobble compass " +
  "cove crane crate davit derrick dock dory ferry fjord frigate galley gantry girder grove hamlet harbour hawser " +
  "heron hoist inlet islet jetty kayak keel kestrel ladder lagoon lantern ledger lighter lock lugger mast meadow " +
  "mooring orchard otter paddle pallet pier pilot pinnace plover pulley quay quill raft rigger rudder sailor " +
  "schooner sextant " +
  "shackle skiff sloop spar swallow tackle tender thicket tide trawler truss tug wharf willow winch yard"
).split(" ");

export function checkName(name: string): void {
  if (NAME.test(name)) return;
  throw new Failure("invalid_argument", `Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
}

/** `random` gives an integer below its argument. */
export function generateName(taken: (name: string) => boolean, random: (below: number) => number): string {
  for (let attempt = 0; ; attempt++) {
    const words = `${MANNERS[random(MANNERS.length)]}_${THINGS[random(THINGS.length)]}`;
    const name = attempt < 6 ? words : `${words}${random(10 ** Math.min(attempt, 9))}`;
    if (!taken(name)) return name;
  }
}
