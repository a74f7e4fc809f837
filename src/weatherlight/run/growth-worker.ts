/**
 * The trainer's thread. Native sessions block the thread that runs them, so the thread that started
 * this one keeps signals, progress and the bus.
 */

import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { KasminaError, postableError } from "../../base/index.js";
import type { GrowthRunner } from "../folder/growth-lines.js";
import type { StopMessage, TrainerMessage, TrainerStart } from "./growth-protocol.js";

const port = parentPort;
if (!port) throw new KasminaError("illegal_state", "growth-worker must be started as a worker thread");

const stop = new AbortController();
const post = (message: TrainerMessage): void => port.postMessage(message);
const hear = (message: StopMessage): void => {
  if (message.kind === "stop") stop.abort(new KasminaError("canceled", "stopped"));
};
// A message event fires only when the loop of this thread gets its turn, and a trainer that is never idle may
// not give it one: so every line that is posted also looks for messages itself.
const lookForMessages = (): void => {
  for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) hear(got.message);
};
port.on("message", hear);

try {
  const start = workerData as TrainerStart;
  const { runGrowth } = (await import(start.runner)) as { runGrowth: GrowthRunner };
  const summary = await runGrowth(start.options, {
    signal: stop.signal,
    onLine(line) {
      lookForMessages();
      post({ kind: "line", line });
    },
  });
  post({ kind: "done", summary });
} catch (error) {
  post({ kind: "failed", error: postableError(error) });
} finally {
  port.off("message", hear);
}
