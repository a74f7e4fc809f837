/**
 * The trainer's thread. Native sessions block the thread that runs them, so the thread that started
 * this one keeps signals, progress and the bus.
 */

import { join } from "node:path";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { garbageCollector } from "../../base/garbage-collector.node.js";
import { KasminaError, postableError } from "../../base/index.js";
import type { SystemState, TelemetryPacket } from "../../contracts/index.js";
import type { Decision } from "../../tamiyo/index.js";
import { SeriesReports } from "../telemetry/metric-series.js";
import type { GrowOptions } from "./grow-options.js";
import type { GrowResult } from "./grow-result.js";
import { PortCommands } from "./port-commands.js";
import { lineCallbacks, recordCallbacks, summaryLine } from "./reporting.js";
import type { StopMessage, TrainerMessage, TrainerStart } from "./worker-messages.js";

const port = parentPort;
if (!port) throw new KasminaError("illegal_state", "growth-worker must be started as a worker thread");

const stop = new AbortController();
const post = (message: TrainerMessage): void => port.postMessage(message);
const receive = (message: StopMessage): void => {
  if (message.kind === "stop") stop.abort(new KasminaError("canceled", "stopped"));
};
// A message event fires only when the loop of this thread gets its turn, and a trainer that is never idle may
// not give it one: so every line that is posted also looks for messages itself.
const lookForMessages = (): void => {
  for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) receive(got.message);
};
port.on("message", receive);

try {
  const start = workerData as TrainerStart;
  const collect = garbageCollector();
  const { grow } = (await import(start.runner)) as { grow(options: GrowOptions): Promise<GrowResult> };
  const lines = lineCallbacks((line) => {
    lookForMessages();
    post({ kind: "line", line });
  });
  const bus = start.bus && onBus(new PortCommands(start.bus));
  const watch = start.series ? new SeriesReports((update) => post({ kind: "series", update })) : undefined;
  const records = start.records ? recordCallbacks((line) => post({ kind: "record", line })) : undefined;
  const onPacket = (packet: TelemetryPacket): void => {
    bus?.onPacket?.(packet);
    watch?.record(packet);
    records?.onPacket(packet);
  };
  const onObservation = (state: SystemState): void => {
    records?.onObservation(state);
    bus?.onObservation?.(state);
  };
  const onDecision = (decision: Decision, state: SystemState): void => {
    lines.onDecision?.(decision, state);
    records?.onDecision(decision, state);
  };
  const listeners = {
    // Before the first step, when all data are read and kernels prewarmed: later it would lie between two steps.
    onControl: () => collect(),
    ...(start.catalogPort && { catalogPort: start.catalogPort }),
    ...lines,
    ...bus,
    onObservation,
    onDecision,
    ...((bus || watch || records) && { onPacket }),
  };
  const result = await grow({ ...(start.options as GrowOptions), ...listeners, signal: stop.signal });
  watch?.report();
  const summary = summaryLine(result);
  post({ kind: "line", line: summary });
  if (result.ended === "interrupted") throw interrupted(result);
  post({ kind: "done", summary });
} catch (error) {
  post({ kind: "failed", error: postableError(error) });
} finally {
  port.off("message", receive);
}

/** What ties a run to the bus. */
function onBus(commands: PortCommands): Partial<GrowOptions> {
  return {
    commands,
    absentInputs: () => commands.missing,
    onObservation: (state) => commands.sendState(state),
    onPacket: (packet) => commands.sendPacket(packet),
  };
}

function interrupted({ steps, runDir }: GrowResult): KasminaError {
  const where = runDir
    ? `the checkpoint is in ${join(runDir, "checkpoint")}`
    : "no run folder, so nothing was kept";
  return new KasminaError("canceled", `stopped after ${steps} steps; ${where}`);
}
