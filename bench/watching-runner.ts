/** What `watching` runs in a worker: a run that is watched in every other stretch, and how long its steps took. */
import { readFileSync, readlinkSync } from "node:fs";
import type { TelemetryPacket } from "kasmina/contracts";
import { type GrowOptions, type GrowResult, grow as growRun } from "kasmina/weatherlight";
import { median } from "./measurement.js";

export interface Stretch {
  readonly watched: boolean;
  readonly steps: number;
  /** Of a step with its telemetry, evaluations left out. */
  readonly medianMs: number;
  readonly meanMs: number;
  /** Processor time of the trainer's thread, a step, evaluations included; NaN where the system does not tell. */
  readonly cpuMs: number;
  /** Processor time of the thread that serves, a second. */
  readonly mainCpuMsPerS: number;
}

export interface Watched {
  readonly stretches: readonly Stretch[];
  /** Processor time of the trainer's thread for taking in the packets of a step, again and again after the run. */
  readonly packetsUs: number;
}

/** Packets that are taken in again, the first ones with a seed among them, and how often. */
const [PACKETS_KEPT, ROUNDS] = [4_000, 50];
const STRETCH_MS = 2_000;
/** Of two neighbours neither kind is always the first. */
const TURNS = [false, true, true, false];

export async function grow(options: GrowOptions & { readonly watched: Int32Array }): Promise<GrowResult> {
  const { watched, onPacket, onObservation, ...rest } = options;
  const stretches: Stretch[] = [];
  const kept: TelemetryPacket[] = [];
  let hasSeed = false;
  let isWatched = false;
  let gapsMs: number[] = [];
  let lastMs = Number.NaN;
  let start = readings();

  const turn = (): void => {
    const end = readings();
    stretches.push({
      watched: isWatched,
      steps: gapsMs.length,
      medianMs: median(gapsMs),
      meanMs: gapsMs.reduce((sum, gap) => sum + gap, 0) / gapsMs.length,
      cpuMs: (end.cpuMs - start.cpuMs) / gapsMs.length,
      mainCpuMsPerS: (1_000 * (end.mainCpuMs - start.mainCpuMs)) / (end.nowMs - start.nowMs),
    });
    gapsMs = [];
    isWatched = TURNS[stretches.length % TURNS.length] ?? false;
    Atomics.store(watched, 0, isWatched ? stretches.length : 0);
    Atomics.notify(watched, 0);
    start = readings();
    lastMs = Number.NaN;
  };
  const result = await growRun({
    ...rest,
    onPacket: (packet) => {
      if (isWatched) onPacket?.(packet);
      if (hasSeed && kept.length < PACKETS_KEPT) kept.push(packet);
      hasSeed ||= packet.seedId !== undefined;
      if (packet.seedId !== undefined) return;
      const nowMs = performance.now();
      if (Number.isFinite(lastMs)) gapsMs.push(nowMs - lastMs);
      lastMs = nowMs;
      if (nowMs - start.nowMs > STRETCH_MS && gapsMs.length > 0) turn();
    },
    onObservation: (state) => {
      onObservation?.(state);
      lastMs = Number.NaN;
    },
  });
  Atomics.store(watched, 0, 0);
  const before = readings();
  for (let round = 0; round < ROUNDS; round++) for (const packet of kept) onPacket?.(packet);
  const steps = ROUNDS * kept.filter(({ seedId }) => seedId === undefined).length;
  const packetsUs = (1_000 * (readings().cpuMs - before.cpuMs)) / steps;
  options.onNotice?.(JSON.stringify({ stretches, packetsUs } satisfies Watched));
  return result;
}

function readings() {
  const nowMs = performance.now();
  if (process.platform !== "linux") return { nowMs, cpuMs: Number.NaN, mainCpuMs: Number.NaN };
  const own = readlinkSync("/proc/thread-self");
  return { nowMs, cpuMs: cpuMsOf(own), mainCpuMs: cpuMsOf(`${process.pid}/task/${process.pid}`) };
}

/** @param thread in /proc */
function cpuMsOf(thread: string): number {
  return Number(readFileSync(`/proc/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6;
}
