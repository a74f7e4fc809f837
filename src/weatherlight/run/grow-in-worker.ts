/** Runs a growth run in a worker thread, so that this thread stays responsive. */

import { Worker } from "node:worker_threads";
import { errorFromPosted, KasminaError } from "../../base/index.js";
import { environmentWithKeys, quietRuntime } from "../../base/quiet-runtime.node.js";
import type { GrowthLine, Summary } from "../folder/growth-lines.js";
import type { RunRecordLine } from "../folder/run-records.js";
import type { SeriesUpdate } from "../telemetry/metric-series.js";
import type { StopMessage, TrainerMessage, TrainerStart } from "./worker-messages.js";

/** How a run in a thread of its own is listened to and stopped. */
export interface WorkerCallbacks {
  /** Ends the run at the next step, with its checkpoint written. */
  readonly signal?: AbortSignal;
  /** Gets every line, the summary last. */
  readonly onLine?: (line: GrowthLine) => void;
  /** Gets what the growing run measures at each observation, how alpha moves, and what is decided. */
  readonly onRecord?: (line: RunRecordLine) => void;
  /** Gets what has changed of the run's series, once a second. */
  readonly onSeries?: (update: SeriesUpdate) => void;
  /** The bus that the run joins. Default: none. */
  readonly bus?: { readonly url: string; readonly prefix?: string };
}

/** URL of the module whose `grow` runs in the worker. */
const RUNNER = new URL("./grow.js", import.meta.url).href;

/**
 * Memory for young objects, in MB. Collecting them lies between two steps: with V8's default of 48 up to 8 ms, with this
 * up to 2 (2 cores).
 */
const YOUNG_GENERATION_MB = 12;

/**
 * Like `grow`, in a thread of its own, with options that can be posted there. What the trainer prints goes to stderr:
 * stdout is for data.
 *
 * @param runner URL of another module that exports a `grow`, such as one with a host of your own
 */
export async function growInWorker(
  options: unknown,
  callbacks: WorkerCallbacks,
  runner: string = RUNNER,
): Promise<Summary> {
  quietRuntime();
  const start = {
    options,
    runner,
    series: callbacks.onSeries !== undefined,
    records: callbacks.onRecord !== undefined,
  };
  if (!callbacks.bus) return runWorker(start, callbacks);
  const { JoinedBus } = await import("./run-bus.node.js");
  const onNotice = (text: string): void => callbacks.onLine?.({ type: "notice", text });
  const joined = await JoinedBus.join({ ...callbacks.bus, onNotice }, options);
  let ended = false;
  try {
    const summary = await runWorker({ ...start, bus: joined.port, ...joined.catalog }, callbacks);
    ended = true;
    return summary;
  } finally {
    await joined.leave(ended);
  }
}

function runWorker(start: TrainerStart, callbacks: WorkerCallbacks): Promise<Summary> {
  const worker = new Worker(new URL("./growth-worker.js", import.meta.url), {
    env: environmentWithKeys(),
    workerData: start,
    transferList: [start.bus, start.catalogPort].filter((port) => port !== undefined),
    stdout: true,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
  });
  worker.stdout.pipe(process.stderr, { end: false });
  const stop = (): void => worker.postMessage({ kind: "stop" } satisfies StopMessage);
  if (callbacks.signal?.aborted) stop();
  callbacks.signal?.addEventListener("abort", stop);
  return new Promise<Summary>((resolve, reject) => {
    worker.on("message", (message: TrainerMessage) => {
      switch (message.kind) {
        case "line":
          callbacks.onLine?.(message.line);
          break;
        case "record":
          callbacks.onRecord?.(message.line);
          break;
        case "series":
          callbacks.onSeries?.(message.update);
          break;
        case "done":
          resolve(message.summary);
          break;
        case "failed":
          reject(errorFromPosted(message.error));
          break;
        default:
          message satisfies never;
      }
    });
    worker.on("error", reject);
    worker.on("exit", (code) => {
      reject(
        new KasminaError("illegal_state", `the trainer's thread ended without a result (exit code ${code})`),
      );
    });
  }).finally(async () => {
    callbacks.signal?.removeEventListener("abort", stop);
    await worker.terminate();
  });
}
