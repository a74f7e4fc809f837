/** A run's FLOPs, and what they went into. */
import { describe, expect, test } from "vitest";
import { NO_FLOPS, type SeedPart, totalFlops } from "../contracts/index.js";
import { trace } from "../engine/index.js";
import { evaluationProgram, type SeedSite, type Topology } from "../network/index.js";
import { mlpResidual, resmlp } from "../nn/index.js";
import { evaluationFlops, stepFlops } from "./flops.js";
import { OPTIMIZERS } from "./optimizers.js";
import { Progress } from "./progress.js";
import { trainStepProgram } from "./train-step.js";

const BATCH = 8;
const host = resmlp({ inputShape: [6], classes: 3, width: 5 });

function topologyWith(...parts: readonly SeedPart[]): Topology {
  const sites = parts.map((part, i): SeedSite => {
    return {
      seedId: `s${i}`,
      slotId: `block${i + 1}`,
      blueprint: mlpResidual,
      parameters: { hidden: 7 },
      part,
    };
  });
  return { host, sites, hostGradient: "detach" };
}

function step(topology: Topology) {
  const traced = trace(trainStepProgram(topology, OPTIMIZERS.adam, BATCH));
  return { parts: { ...NO_FLOPS, ...stepFlops(topology, { train: traced }) }, total: traced.flops };
}

function evaluation(topology: Topology) {
  const traced = trace(evaluationProgram(topology, BATCH));
  return { parts: { ...NO_FLOPS, ...evaluationFlops({ evaluate: traced }) }, total: traced.flops };
}

describe("a step", () => {
  const alone = step(topologyWith());

  test("without seeds is training and nothing else", () => {
    expect(alone.parts).toEqual({ ...NO_FLOPS, training: alone.total });
  });

  test("with a seed in TRAINING costs as training what the host alone does, and as shadow all that is more", () => {
    const { parts, total } = step(topologyWith("shadow"));
    expect(parts.training).toBe(alone.total);
    expect(parts.shadow).toBe(total - alone.total);
    expect(parts.shadow).toBeGreaterThan(0);
  });

  test("with a seed that is blended in is training again", () => {
    const { parts, total } = step(topologyWith("probationary"));
    expect(parts).toEqual({ ...NO_FLOPS, training: total });
  });

  test("of several seeds has each part once", () => {
    const { parts, total } = step(topologyWith("grown", "shadow"));
    expect(parts.training).toBe(step(topologyWith("grown")).total);
    expect(totalFlops(parts)).toBe(total);
  });
});

describe("an evaluation", () => {
  test("costs what the network costs, and the comparisons besides", () => {
    const alone = evaluation(topologyWith());
    expect(alone.parts).toEqual({ ...NO_FLOPS, evaluation: alone.total });
    const { parts, total } = evaluation(topologyWith("shadow", "shadow"));
    expect(parts.evaluation).toBe(alone.total);
    expect(parts.counterfactual).toBe(total - alone.total);
  });

  test("of a seed that is decided about is compared, of one that is the host's not", () => {
    expect(evaluation(topologyWith("probationary")).parts.counterfactual).toBeGreaterThan(0);
    expect(evaluation(topologyWith("grown")).parts.counterfactual).toBe(0);
  });
});

describe("a run", () => {
  test("adds up what it spends, and goes on adding after a stop", () => {
    const progress = new Progress(10);
    progress.spend({ training: 5, shadow: 2 });
    progress.spend({ evaluation: 3, counterfactual: 1 }, 4);
    const again = new Progress(10);
    again.restore(progress.snapshot());
    again.spend({ isolation: 1 });
    expect(again.flopsByPart).toEqual({
      training: 5,
      shadow: 2,
      evaluation: 12,
      counterfactual: 4,
      isolation: 1,
    });
    expect([progress.flops, again.flops]).toEqual([23, 24]);
  });

  test("that began when the parts were not counted tells the sum alone", () => {
    const { flopsByPart: _, ...old } = new Progress(10).snapshot();
    const again = new Progress(10);
    again.restore({ ...old, flopsTotal: 100 });
    again.spend({ training: 5 });
    expect([again.flops, again.flopsByPart]).toEqual([105, undefined]);
    const later = new Progress(10);
    later.restore(again.snapshot());
    expect([later.flops, later.flopsByPart]).toEqual([105, undefined]);
  });
});
