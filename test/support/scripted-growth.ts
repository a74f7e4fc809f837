/** A growth run whose seeds do what a script says, for tests of what happens to them. */
import {
  advanceFrom,
  type BlendConfig,
  type Stage,
  type SystemState,
  type TelemetryPacket,
} from "../../src/contracts/index.js";
import type { Decision, Policy } from "../../src/tamiyo/index.js";
import type { RunOutcome } from "../../src/weatherlight/grow/run-outcome.js";
import type { RunSetup } from "../../src/weatherlight/grow/run-setup.js";
import { trainRun } from "../../src/weatherlight/grow/train-run.js";

export interface ScriptedSeed {
  readonly seedId: string;
  readonly slotId: string;
  readonly blueprintId: string;
  readonly parameters?: Readonly<Record<string, number>>;
  /** The stage at which it is left alone. */
  readonly until: Stage;
  readonly blend?: BlendConfig;
}

/** Germinates each seed once and moves it on at every observation until it is where the script wants it. */
export class ScriptedPolicy implements Policy {
  readonly version = "scripted-1";
  readonly #script: readonly ScriptedSeed[];
  #germinated: string[] = [];

  constructor(script: readonly ScriptedSeed[]) {
    this.#script = script;
  }

  decide(state: SystemState): readonly Decision[] {
    return this.#script.flatMap((seed) => this.#decideFor(seed, state));
  }

  snapshot(): unknown {
    return this.#germinated;
  }

  restore(snapshot: unknown): void {
    this.#germinated = [...(snapshot as string[])];
  }

  #decideFor(scripted: ScriptedSeed, state: SystemState): Decision[] {
    const basis = { why: "as the script says", logits: [1, 0], seedId: scripted.seedId };
    if (!this.#germinated.includes(scripted.seedId)) {
      this.#germinated.push(scripted.seedId);
      const { slotId, blueprintId, parameters = {} } = scripted;
      return [{ ...basis, action: "germinate", slotId, blueprintId, parameters }];
    }
    const seed = state.seeds.find(({ id }) => id === scripted.seedId);
    const operation = seed && advanceFrom(seed.stage)?.operation;
    if (!operation || seed.pending || seed.stage === scripted.until) return [];
    if (seed.stage === "BLENDING" && !seed.rampDone) return [];
    const blend = operation === "START_BLENDING" && scripted.blend ? { blend: scripted.blend } : {};
    return [{ ...basis, action: "advance", operation, expectedStage: seed.stage, ...blend }];
  }
}

export interface ScriptedRun {
  readonly result: RunOutcome | undefined;
  /** What the run threw. */
  readonly error: unknown;
  readonly packets: readonly TelemetryPacket[];
}

/** Runs to the end, or to what it throws. */
export async function runScript(
  options: Omit<RunSetup, "policy">,
  script: readonly ScriptedSeed[],
): Promise<ScriptedRun> {
  const packets: TelemetryPacket[] = [];
  const onPacket = (packet: TelemetryPacket) => void packets.push(structuredClone(packet));
  try {
    const result = await trainRun({ ...options, policy: new ScriptedPolicy(script), onPacket });
    return { result, error: undefined, packets };
  } catch (error) {
    return { result: undefined, error, packets };
  }
}

/** All events of a name, with the seed and the step they were reported for. */
export function eventsOf(packets: readonly TelemetryPacket[], name: string) {
  return packets.flatMap(({ events, seedId, step, route }) =>
    events.filter((event) => event.name === name).map((event) => ({ ...event, seedId, step, route })),
  );
}

/** The values of one gauge of one seed, in order of steps. */
export function gaugeOf(packets: readonly TelemetryPacket[], seedId: string, name: string): number[] {
  return packets
    .filter((packet) => packet.seedId === seedId)
    .flatMap(({ metrics }) => metrics.filter((metric) => metric.name === name).map(({ value }) => value));
}
