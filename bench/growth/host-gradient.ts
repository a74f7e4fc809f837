/**
 * Whether the host below a BLENDING seed should wait (`detach`) or go on learning (`flow`): pairs of runs on spirals,
 * the same random seed and the same growth in both, the final test loss compared.
 */
import { DEFAULT_BLEND, type SystemState } from "kasmina/contracts";
import { makeSpirals } from "kasmina/data";
import { type Backend, openBackend } from "kasmina/engine";
import { resmlp } from "kasmina/nn";
import { type Decision, PlateauPolicy } from "kasmina/tamiyo";
import { type GrowResult, grow } from "kasmina/weatherlight";
import type { Figures, Measurement } from "../measurement.js";

const PAIRS = 8;
const EPOCHS = 30;
const RAMPS = [20, 200];
const MODES = ["detach", "flow"] as const;

/** Germinates one seed in the fifth epoch, blends it over a ramp of its own length, and keeps it. */
class RampPolicy extends PlateauPolicy {
  readonly #steps: number;

  constructor(steps: number) {
    super({
      blueprints: [{ id: "mlp-residual", parameters: { hidden: 32 } }],
      slots: ["block2"],
      germinateAtEpoch: 4,
      minTraining: 4,
      maxTraining: 4,
      maxSeeds: 1,
      confidence: -1e9,
    });
    this.#steps = steps;
  }

  override decide(state: SystemState): readonly Decision[] {
    const schedule = { ...DEFAULT_BLEND.schedule, steps: this.#steps };
    return super
      .decide(state)
      .map((decision) =>
        decision.action === "advance" && decision.blend
          ? { ...decision, blend: { ...decision.blend, schedule } }
          : decision,
      );
  }
}

function run(backend: Backend, seed: number, steps: number, hostGradient: "detach" | "flow") {
  const dataset = makeSpirals({ seed, noise: 0.06 });
  return grow({
    runId: `host-gradient-${seed}`,
    host: resmlp({ ...dataset, width: 12 }),
    data: dataset,
    engine: backend,
    epochs: EPOCHS,
    batch: 50,
    seed,
    policy: new RampPolicy(steps),
    hostGradient,
    // Every seed is to come through, so that the runs of a pair differ in the one thing that is measured.
    latencyBudget: 60_000,
    limits: { gates: { confidence: 0, minShadowGain: -1e9, minContribution: -1e9, divergenceRatio: 1e9 } },
  });
}

function summarise(pairs: readonly { readonly detach: GrowResult; readonly flow: GrowResult }[]): Figures {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const differences = pairs.map(({ detach, flow }) => flow.testLoss - detach.testLoss);
  const difference = mean(differences);
  const variance = mean(differences.map((value) => (value - difference) ** 2));
  const kept = pairs.flatMap((pair) => MODES.map((mode) => pair[mode].seeds[0]?.stage));
  return {
    detach_test_loss: mean(pairs.map(({ detach }) => detach.testLoss)),
    flow_test_loss: mean(pairs.map(({ flow }) => flow.testLoss)),
    flow_minus_detach: difference,
    std_err: Math.sqrt(variance / Math.max(1, pairs.length - 1)),
    flow_better: `${differences.filter((value) => value < 0).length} of ${pairs.length}`,
    detach_accuracy: mean(pairs.map(({ detach }) => detach.accuracy)),
    flow_accuracy: mean(pairs.map(({ flow }) => flow.accuracy)),
    fossilized: `${kept.filter((stage) => stage === "FOSSILIZED").length} of ${kept.length}`,
  };
}

async function measure(args: readonly string[]): Promise<Figures> {
  const count = Number(args[0] ?? PAIRS);
  const { backend } = await openBackend("auto", { threads: 1 });
  const figures: Record<string, Figures> = {};
  for (const steps of RAMPS) {
    const pairs = [];
    for (let seed = 0; seed < count; seed++) {
      const detach = await run(backend, seed, steps, "detach");
      pairs.push({ detach, flow: await run(backend, seed, steps, "flow") });
    }
    figures[`ramp_${steps}_steps`] = summarise(pairs);
  }
  await backend.dispose();
  return { data: "spirals, noise 0.06", epochs: EPOCHS, pairs: count, ...figures };
}

export const hostGradient: Measurement = {
  name: "host-gradient",
  summary: "final loss with the host below a blending seed waiting (detach) or learning (flow); [pairs]",
  run: measure,
};
