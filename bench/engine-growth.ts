/** A run that grows on the native engine: how long training stood still at a graft, and the main thread at all. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { KasminaError } from "kasmina/base";
import { growInWorker } from "kasmina/weatherlight";
import type { StepGaps } from "./engine-growth-runner.js";
import type { Figures } from "./measurement.js";

const RUNNER = new URL("./engine-growth-runner.js", import.meta.url).href;

/** The trainer runs in a worker, as under the command line; this thread only looks at its own clock. */
export async function measureGrowth(threads: number): Promise<Figures> {
  const loop = monitorEventLoopDelay({ resolution: 1 });
  let gaps: StepGaps | undefined;
  loop.enable();
  await growInWorker(
    { threads },
    {
      onLine: (line) => {
        if (line.type === "notice") gaps = JSON.parse(line.text) as StepGaps;
      },
    },
    RUNNER,
  );
  loop.disable();
  if (!gaps) throw new KasminaError("illegal_state", "the run told no step times");
  return {
    graft_stall_steps: round(gaps.longestMs / gaps.medianMs),
    graft_stall_ms: round(gaps.longestMs),
    growth_step_ms: round(gaps.medianMs),
    topologies: gaps.topologies,
    main_thread_gap_ms: round(loop.max / 1e6),
  };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
