/**
 * Reference runs, and their telemetry as a text that a reviewer reads: small runs on the WebAssembly engine, commanded from outside at fixed
 * steps, by a clock that goes 10 ms a step. Kernels are built on the training thread and count as equally fast everywhere, so that nothing of the
 * text depends on the machine; numbers are rounded to three digits.
 */
import { type Clock, ManualClock } from "../src/base/index.js";
import {
  type CommandDelivery,
  CommandSigner,
  type EmergencyLevel,
  type Kernel,
  KeyRing,
  type MetricName,
  type Order,
  type TelemetryEvent,
  type TelemetryMetric,
  type TelemetryPacket,
} from "../src/contracts/index.js";
import { makeSpirals } from "../src/data/index.js";
import type { Backend } from "../src/engine/index.js";
import { type KasminaConfigInput, parseConfig } from "../src/kasmina/index.js";
import { builtinBlueprints, resmlp } from "../src/nn/index.js";
import { Mutex } from "../src/weatherlight/grow/mutex.js";
import type { RunKernels } from "../src/weatherlight/grow/ports.js";
import { trainRun } from "../src/weatherlight/grow/train-run.js";
import { BuiltKernels } from "../src/weatherlight/kernels/built-kernels.js";
import { DISTRIBUTIONS } from "../src/weatherlight/telemetry/metric-series.js";

const RUN_ID = "baseline";
const STEP_MS = 10;
const STEPS_PER_EPOCH = 8;
const dataset = makeSpirals({ seed: 3, train: 200, test: 20 });
const BATCH = Math.floor(dataset.train.count / STEPS_PER_EPOCH);

/** What is sent before a step. */
interface Sent {
  readonly order: Order;
  readonly seedId?: string;
  readonly slotId?: string;
  /** What becomes of the envelope on its way. Default: nothing. */
  readonly tamper?: (envelope: Uint8Array) => Uint8Array;
  /** How long it is on its way. Default 0. */
  readonly lateMs?: number;
  readonly commandId?: string;
}

export interface Baseline {
  readonly name: string;
  /** One line: what happens. */
  readonly about: string;
  readonly epochs: number;
  readonly limits?: KasminaConfigInput;
  readonly sent: Readonly<Record<number, readonly Sent[]>>;
}

const seed = (operation: Extract<Order, { kind: "SEED" }>["operation"], seedId = "seed-1"): Sent => ({
  order: { kind: "SEED", operation },
  seedId,
});
const germinate = (seedId = "seed-1", slotId = "block1"): Sent => ({
  order: { kind: "SEED", operation: "GERMINATE", blueprintId: "mlp-residual", parameters: { hidden: 8 } },
  seedId,
  slotId,
});
const emergency = (level: EmergencyLevel): Sent => ({
  order: { kind: "EMERGENCY", level, reason: "as the script says" },
});

export const BASELINES: readonly Baseline[] = [
  {
    name: "fossilization",
    about: "one seed goes its whole way, from germination to the host",
    epochs: 14,
    sent: {
      8: [germinate()],
      16: [seed("START_TRAINING")],
      40: [seed("START_BLENDING")],
      72: [seed("START_SHADOWING")],
      88: [seed("START_PROBATION")],
      104: [seed("FOSSILIZE")],
    },
  },
  {
    name: "cull",
    about:
      "a gate refuses one seed, and an operator culls another: both are reset, and their slots open again",
    epochs: 8,
    limits: { gates: { minShadowGain: 100 } },
    sent: {
      4: [germinate(), germinate("seed-2", "block2")],
      12: [seed("START_TRAINING"), seed("START_TRAINING", "seed-2")],
      32: [seed("START_BLENDING")],
      36: [seed("CULL", "seed-2")],
    },
  },
  {
    name: "rollback",
    about: "an operator has the run return to the last good state in memory, with a seed in training",
    epochs: 6,
    sent: {
      4: [germinate()],
      12: [seed("START_TRAINING")],
      28: [{ order: { kind: "ROLLBACK", source: "memory", reason: "as the script says" } }],
    },
  },
  {
    name: "rejection",
    about: "commands that are forged, late, sent again, for nobody or too early change nothing",
    epochs: 3,
    sent: {
      2: [{ ...germinate(), tamper: flipLastBit }],
      4: [{ ...germinate(), lateMs: 120_000 }],
      6: [
        { ...germinate(), commandId: "twice" },
        { ...germinate(), commandId: "twice" },
      ],
      10: [seed("START_TRAINING", "nobody")],
      12: [seed("FOSSILIZE")],
    },
  },
  {
    name: "emergency",
    about: "growth is paused, seeds are frozen, all is well again, and the run is halted",
    epochs: 6,
    sent: {
      4: [germinate()],
      12: [seed("START_TRAINING")],
      20: [emergency("PAUSE_GROWTH")],
      22: [germinate("seed-2", "block2")],
      24: [emergency("FREEZE_SEEDS")],
      30: [emergency("CLEAR")],
      36: [emergency("HALT")],
    },
  },
];

/** Every packet of the run, in order. */
export async function packetsOf(baseline: Baseline, backend: Backend): Promise<TelemetryPacket[]> {
  const clock = new ManualClock();
  const keys = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(7) }]);
  let count = 0;
  const nonce = (): Uint8Array => new Uint8Array(16).fill(++count);
  const signer = new CommandSigner({ keys, clock, nonce });
  let step = 0;
  const deliver = ({ tamper = (same) => same, lateMs = 0, ...what }: Sent): CommandDelivery => {
    const commandId = `command-${count + 1}`;
    const by = lateMs === 0 ? signer : new CommandSigner({ keys, clock: earlier(clock, lateMs), nonce });
    const draft = { commandId, trainingRunId: RUN_ID, issuedBy: "script", ...what };
    return { envelope: tamper(by.sign(draft)), busEntry: commandId, acknowledge: () => undefined };
  };
  const packets: TelemetryPacket[] = [];
  await trainRun({
    runId: RUN_ID,
    host: resmlp({ ...dataset, width: 4 }),
    dataset,
    backend,
    epochs: baseline.epochs,
    batch: BATCH,
    seed: 1,
    policy: null,
    keys,
    clock,
    config: parseConfig({
      leadSteps: 2,
      embargoMs: 5 * STEP_MS,
      stepMs: STEP_MS,
      isolation: { everySteps: 8 },
      ...baseline.limits,
      gates: { confidence: 0, minShadowGain: -1, minContribution: -1, ...baseline.limits?.gates },
    }),
    kernels: equallyFast(backend),
    commands: {
      drain: () => {
        clock.advance(STEP_MS);
        return (baseline.sent[step++] ?? []).map(deliver);
      },
    },
    onPacket: (packet) => packets.push(structuredClone(packet)),
  });
  return packets;
}

function earlier(clock: Clock, byMs: number): Clock {
  return {
    nowMs: () => clock.nowMs() - byMs,
    monotonicMs: () => clock.monotonicMs(),
    setTimer: (callback, delayMs) => clock.setTimer(callback, delayMs),
  };
}

function equallyFast(backend: Backend): RunKernels {
  const kernels = new BuiltKernels({
    blueprints: builtinBlueprints,
    backend,
    mutex: new Mutex(),
    batch: BATCH,
    seed: 1,
  });
  const fast = (kernel: Kernel): Kernel => ({
    ...kernel,
    sha256: "0".repeat(64),
    prewarmP50Ms: 1,
    prewarmP95Ms: 2,
  });
  return {
    fetch: async (request) => fast(await kernels.fetch(request)),
    prewarm: () => Promise.resolve(),
  };
}

function flipLastBit(envelope: Uint8Array): Uint8Array {
  return envelope.map((byte, i) => (i === envelope.length - 1 ? byte ^ 1 : byte));
}

/** The telemetry of a run: who sent packets when, what happened in which order, and what each metric was. */
export function describeTelemetry({ about, epochs }: Baseline, packets: readonly TelemetryPacket[]): string {
  const steps = epochs * STEPS_PER_EPOCH;
  return [
    `${about}; ${epochs} epochs of ${STEPS_PER_EPOCH} steps at most (${steps})`,
    "",
    "packets: steps of each sender and route",
    ...packetLines(packets),
    "",
    "events: step, seed or run, level, name, attributes",
    ...packets.flatMap((packet) => packet.events.map((event) => eventLine(event, packet))),
    "",
    "metrics: seed or run, name, labels: step=value where it changes, of a distribution each; of many values their number and range",
    ...metricLines(packets),
    "",
  ].join("\n");
}

function packetLines(packets: readonly TelemetryPacket[]): string[] {
  const bySender = new Map<string, TelemetryPacket[]>();
  for (const packet of packets) {
    const sender = `${packet.seedId ?? "run"} ${packet.route}`;
    bySender.set(sender, [...(bySender.get(sender) ?? []), packet]);
  }
  return [...bySender].map(([sender, sent]) => {
    const steps = sent.map(({ step }) => step);
    const retired = sent.filter((packet) => packet.retired).map(({ step }) => `, retired at ${step}`);
    return `  ${sender}: ${rangesOf(steps)}${retired.join("")}`;
  });
}

/** 0-7, 9, 9: what is sent twice stands twice. */
function rangesOf(steps: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const step of steps) {
    const last = ranges.at(-1);
    if (last && step === last[1] + 1) last[1] = step;
    else ranges.push([step, step]);
  }
  return ranges.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(", ");
}

function eventLine(
  { name, level, attributes }: TelemetryEvent,
  { seedId = "run", step }: TelemetryPacket,
): string {
  const said = Object.entries(attributes).map(([key, value]) => ` ${key}=${rounded(value)}`);
  return `  ${String(step).padStart(3)} ${seedId} ${level} ${name}${said.join("")}`;
}

const FEW = 12;

interface Value {
  readonly step: number;
  readonly value: number;
}

function metricLines(packets: readonly TelemetryPacket[]): string[] {
  const series = new Map<string, { name: MetricName; values: Value[] }>();
  for (const { seedId = "run", step, metrics } of packets)
    for (const metric of metrics) {
      const key = `  ${seedId} ${metricName(metric)}`;
      const known = series.get(key) ?? { name: metric.name, values: [] };
      known.values.push({ step, value: metric.value });
      series.set(key, known);
    }
  return [...series]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, { name, values }]) => `${key}: ${valuesOf(values, DISTRIBUTIONS.has(name))}`);
}

function metricName({ name, labels = {} }: TelemetryMetric): string {
  const said = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
  return said.length === 0 ? name : `${name} ${said.sort().join(" ")}`;
}

/** @param each whether what is the same as before counts: of a distribution */
function valuesOf(values: readonly Value[], each: boolean): string {
  const shown = ({ step, value }: Value): string => `${step}=${rounded(value)}`;
  const told = values.filter(
    ({ value }, i) => each || rounded(value) !== rounded(values[i - 1]?.value ?? ""),
  );
  if (told.length <= FEW) return told.map(shown).join(" ");
  const [first, last, all] = [values.slice(0, 1), values.slice(-1), values.map(({ value }) => value)];
  const range = `${rounded(Math.min(...all))} to ${rounded(Math.max(...all))}`;
  return `${values.length} values, ${first.map(shown)} to ${last.map(shown)}, ${range}`;
}

function rounded(value: string | number | boolean): string {
  return typeof value === "number" ? String(Number(value.toPrecision(3))) : String(value);
}
