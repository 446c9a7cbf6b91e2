// One piece of work with criu, from the request to its end, with the notifications on the way:
//
//     request ─▶ (notify ─▶ answered)* ─▶ success ─▶ its end
//
// api/criu/PROTOCOL.md has the notifications; what is done at each is dump.ts's and restore.ts's.

import { type CriuOpts, CriuReq, CriuReqType, type CriuResp } from "../../api/criu/gen/rpc.ts";
import { Failure } from "../../base/errors.ts";
import * as fs from "../../linux/fd.ts";
import { explain } from "./log.ts";
import type { Voice } from "./settings.ts";
import { refusal } from "./tool.ts";
import { typeName, type Worker } from "./worker.ts";

export interface Notification {
  script: string;
  /** The first process, where the notification is about it. */
  pid: number;
  descriptor: fs.Fd | null;
}

export interface Work {
  type: number;
  opts: CriuOpts;
  /** criu's log, for what it says about a failure. */
  log: string;
  notified(notification: Notification): void;
}

export function carryOut(worker: Worker, work: Work, voice: Voice): CriuResp {
  voice.debug?.(`Using CRIU in ${typeName(work.type)} mode`);
  try {
    worker.send(CriuReq.create({ type: work.type, opts: work.opts }));
    const response = untilDone(worker, work, voice);
    const ended = worker.end();
    // After a pre-dump it waits for the next one, so its end is no news.
    if (work.type !== CriuReqType.PRE_DUMP && ended !== null && ended.code !== 0) {
      const how = ended.signal === null ? `exit status ${ended.code}` : `signal ${ended.signal}`;
      throw new Failure("failed_precondition", `criu failed: ${how}`);
    }
    return response;
  } catch (thrown) {
    worker.end();
    throw explain(thrown, work.log, voice);
  }
}

function untilDone(worker: Worker, work: Work, voice: Voice): CriuResp {
  for (let first = true; ; first = false) {
    const { response, descriptor } = worker.receive();
    using owned = descriptor;
    // It has opened its own by now; whoever waits at the other end waits for ours, too.
    if (first && work.opts.statusFd !== null) fs.close(work.opts.statusFd);
    if (response.success !== true) throw refusal(response);
    if (response.type === work.type) return response;
    if (response.type !== CriuReqType.NOTIFY || response.notify === null) {
      throw new Failure("internal", `unable to parse the response of type ${typeName(response.type)}`);
    }
    const script = response.notify.script ?? "";
    voice.debug?.(`notify: ${script}`);
    work.notified({ script, pid: response.notify.pid ?? 0, descriptor: owned });
    worker.send(CriuReq.create({ type: CriuReqType.NOTIFY, notifySuccess: true }));
  }
}
