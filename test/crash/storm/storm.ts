// Rounds of containers that write numbered lines while daemons, shims and the runtime are killed under them. After each
// round: who should live does, exit codes are true, every line is in the log once, and nothing is left.
//
//     round: run one to three ─┬─ kills at random moments ──▶ daemons answer again ─▶ ends, codes, lines ─▶ rm, remains
//                              └─ exec, pause, stop, logs -f meanwhile

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FAILPOINT_NAMES } from "../../../container/failpoints.ts";
import { Random } from "../../fuzz/random.ts";
import { alive } from "../../lab.ts";
import { CRASHING, type Result, type StormLab } from "./lab.ts";

export interface Figures {
  rounds: number;
  containers: number;
  /** How often each was killed. */
  kills: Record<string, number>;
  /** Containers that a kill kept from being started, which their client was told. */
  refused: number;
  /** Ends that were told as 255 because nobody who knew was left. */
  unknown: number;
  /** Containers that ended while shim, containerd and dockerd were dead: nobody kept what was in their pipes. */
  tails: number;
  lines: number;
  defects: string[];
}

const VICTIMS = [
  ["containerd-shim-runc-v2"],
  ["containerd-shim-runc-v2"],
  ["containerd-shim-runc-v2"],
  ["containerd-shim-runc-v2", "containerd-shim-runc-v2"],
  ["containerd"],
  ["dockerd"],
  ["runtime"],
  ["runtime"],
  ["containerd", "containerd-shim-runc-v2"],
  ["dockerd", "containerd"],
  ["dockerd", "containerd", "containerd-shim-runc-v2"],
] as const;
/** Without those at which the process that is killed is the container's own already. */
const FAILPOINTS = FAILPOINT_NAMES.filter((name) => !/child\.(released|started)$/.test(name));
const ENDS_TIMEOUT = 60_000;
const UNKNOWN = 255;

interface Plan {
  name: string;
  mark: string;
  /** Lines until it ends by itself; null: it goes on until it is stopped. */
  lines: number | null;
  code: number;
  args: string[];
}

interface Started extends Plan {
  /** Null when its client was told that it does not run. */
  id: string | null;
  result: Result;
}

export class Storm {
  readonly #lab: StormLab;
  readonly #random: Random;
  readonly #say: (line: string) => void;
  readonly #hold: boolean;
  /** In the round at hand. */
  readonly #killed = new Set<string>();
  readonly figures: Figures = {
    ...{ rounds: 0, containers: 0, kills: {}, refused: 0, unknown: 0, tails: 0, lines: 0 },
    defects: [],
  };

  /** `hold`: containers of a round with defects are not removed. */
  constructor(lab: StormLab, seed: number, how: { say: (line: string) => void; hold: boolean }) {
    this.#lab = lab;
    this.#hold = how.hold;
    this.#random = new Random(seed);
    this.#say = how.say;
  }

  async round(number: number): Promise<void> {
    const { figures } = this;
    const plans = Array.from({ length: 1 + this.#random.below(3) }, (_, at) => this.#plan(`r${number}-${at}`));
    const victims = this.#random.pick(VICTIMS);
    const wait = victims[0] === "runtime" ? this.#random.below(200) : this.#random.below(700);
    const before = figures.defects.length;
    this.#killed.clear();
    const crashing = this.#random.oneIn(3);
    if (crashing) this.#lab.order(`${this.#random.pick(FAILPOINTS)}=kill`);
    const starting = Promise.all(plans.map((plan) => this.#start(plan)));
    const meddling = sleep(this.#random.below(500)).then(() => this.#meddle(plans));
    await sleep(wait);
    for (const victim of victims) {
      await this.#kill(victim);
      if (this.#random.oneIn(2)) await sleep(this.#random.below(60));
    }
    const started = await starting;
    await meddling;
    await this.#lab.answering();
    if (crashing && this.#lab.ordered()) figures.kills["failpoint"] = (figures.kills["failpoint"] ?? 0) + 1;
    for (const one of started) await this.#check(one).catch((thrown) => this.#defect(one, (thrown as Error).message));
    if (figures.defects.length === before || !this.#hold) await this.#remove(started);
    figures.rounds++;
    figures.containers += plans.length;
    if (figures.defects.length === before) return;
    this.#say(`round ${number}: killed ${victims.join(", ")} after ${wait} ms${crashing ? ", a failpoint" : ""}`);
    for (const defect of figures.defects.slice(before)) this.#say(`  ${defect}`);
    this.#say(this.#lab.log());
  }

  #plan(name: string): Plan {
    const mark = `storm-${this.#lab.netns.slice(-6)}-${name}`;
    const pause = this.#random.pick(["", "usleep 500; ", "usleep 3000; "]);
    const lines = this.#random.oneIn(3) ? null : 20 + this.#random.below(pause === "" ? 1500 : 300);
    const code = this.#random.below(100);
    const condition = lines === null ? "true" : `[ $n -lt ${lines} ]`;
    const body = `echo $n; echo $n >&2; n=$((n+1)); ${pause}`;
    const script = `: ${mark}; n=0; while ${condition}; do ${body}done; exit ${code}`;
    const endless = lines === null && pause === "" ? script.replace("done;", "usleep 100; done;") : script;
    const runtime = this.#random.oneIn(3) ? ["--runtime", CRASHING] : [];
    const net = this.#random.oneIn(4) ? [] : ["--network", "none"];
    return { name, mark, lines, code, args: [...runtime, ...net, "busybox", "sh", "-c", endless] };
  }

  async #start(plan: Plan): Promise<Started> {
    const result = await this.#lab.run("run", "-d", "--name", plan.name, ...plan.args);
    const id = /^[0-9a-f]{64}$/.exec(result.stdout.trim())?.[0] ?? null;
    return { ...plan, id: result.status === 0 ? id : null, result };
  }

  /** Things that a user does; what becomes of them is not asked, only what they leave. */
  async #meddle(plans: readonly Plan[]): Promise<void> {
    const { name } = this.#random.pick(plans);
    const act = this.#random.below(5);
    if (act === 0) await this.#lab.run("exec", name, "sh", "-c", "echo in; exit 3");
    else if (act === 1) {
      await this.#lab.run("pause", name);
      for (let tries = 0; tries < 20; tries++) {
        await this.#lab.answering();
        if ((await this.#lab.run("inspect", "-f", "{{.State.Paused}}", name)).stdout.trim() !== "true") return;
        await this.#lab.run("unpause", name);
      }
    } else if (act === 2) await this.#lab.run("logs", "--tail", "10", name);
    else if (act === 3) await this.#lab.run("top", name);
  }

  async #kill(victim: string): Promise<void> {
    const runtime = victim === "runtime" ? await this.#lab.runtime() : null;
    const pids = victim === "runtime" ? [] : this.#lab.pids(victim);
    if (runtime !== null) {
      if (this.#random.oneIn(2)) await sleep(this.#random.below(4));
      if (this.#lab.isRuntime(runtime)) pids.push(runtime);
    }
    if (pids.length === 0) return;
    try {
      process.kill(this.#random.pick(pids), "SIGKILL");
      this.#killed.add(victim);
      this.figures.kills[victim] = (this.figures.kills[victim] ?? 0) + 1;
    } catch {
      // It ended by itself just now.
    }
  }

  async #check(one: Started): Promise<void> {
    if (one.id === null) {
      this.figures.refused++;
      return;
    }
    const state = await this.#end(one);
    if (one.lines === null) {
      // A pause whose undoing went to a dead daemon.
      const lives = state.status === "running" || state.status === "paused";
      if (!lives) this.#defect(one, `should live, is ${state.status} (${state.code})`);
      else if (!alive(state.pid)) this.#defect(one, `its process ${state.pid} is gone`);
      await this.#lab.run("kill", one.name);
    } else if (state.status !== "exited") this.#defect(one, `should have ended, is ${state.status}`);
    else if (state.code === UNKNOWN) this.figures.unknown++;
    else if (state.code !== one.code) this.#defect(one, `exit code ${state.code} instead of ${one.code}`);
    this.#checkLines(one, state.code !== UNKNOWN);
  }

  async #end(one: Started): Promise<{ status: string; code: number; pid: number }> {
    for (const late = Date.now() + ENDS_TIMEOUT; ; await sleep(50)) {
      const format = "{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}";
      const { stdout, stderr, status } = await this.#lab.run("inspect", "-f", format, one.name);
      if (status !== 0 && Date.now() > late) throw new Error(`inspect: ${stderr}`);
      const [state, code, pid] = stdout.trim().split(" ") as [string, string, string];
      if (state === "paused" && one.lines !== null && Date.now() < late) {
        // By a pause whose answer went to a dead daemon, after whoever asked for it had looked.
        await this.#lab.run("unpause", one.name);
        continue;
      }
      if (status === 0 && (state !== "running" || one.lines === null || Date.now() > late)) {
        return { status: state, code: Number(code), pid: Number(pid) };
      }
    }
  }

  /** From the file itself: each line once, whole, in order. */
  #checkLines(one: Started, whole: boolean): void {
    const path = join(this.#lab.engine.places.data, "containers", one.id!, `${one.id!}-json.log`);
    const text = existsSync(path) ? readFileSync(path, "latin1") : "";
    const next = { stdout: 0, stderr: 0 };
    for (const line of text.split("\n").slice(0, -1)) {
      const { log, stream } = JSON.parse(line) as { log: string; stream: "stdout" | "stderr" };
      if (log !== `${next[stream]}\n`) {
        this.#defect(one, `${stream}: ${JSON.stringify(log)} where ${next[stream]} is next`);
        return;
      }
      next[stream]++;
      this.figures.lines++;
    }
    if (one.lines === null || !whole) return;
    if (next.stdout < one.lines && this.#tailMayBeLost(one)) {
      this.figures.tails++;
      return;
    }
    for (const stream of ["stdout", "stderr"] as const) {
      if (next[stream] !== one.lines) this.#defect(one, `${next[stream]} of ${one.lines} lines of ${stream}`);
    }
  }

  /** Then the shim that took over must have said so. */
  #tailMayBeLost(one: Started): boolean {
    if (!["containerd-shim-runc-v2", "containerd", "dockerd"].every((victim) => this.#killed.has(victim))) return false;
    const log = readFileSync(join(this.#lab.engine.places.run, "containerd/containerd.log"), "utf8");
    return log.includes(`${one.id}: it ended while no shim was there`);
  }

  async #remove(started: readonly Started[]): Promise<void> {
    const names = (await this.#lab.run("ps", "-aq", "--no-trunc")).stdout.split("\n").filter(Boolean);
    for (const name of names) {
      const { status, stderr } = await this.#lab.run("rm", "-f", name);
      if (status !== 0) this.figures.defects.push(`rm -f ${name}: ${stderr.trim()}`);
    }
    const left = await this.#lab.leftovers(
      names,
      started.map(({ mark }) => mark),
    );
    for (const what of left) this.figures.defects.push(`left: ${what}`);
  }

  #defect(one: Started, what: string): void {
    const about = one.args.includes(CRASHING) ? " (crashing runtime)" : "";
    this.figures.defects.push(`${one.name} ${one.id?.slice(0, 12) ?? ""}${about}: ${what}`);
  }
}
