/** One run in which the policy judges one seed. Shared by the measurement and by the long test. */
import { type Dataset, holdsParameters } from "kasmina/contracts";
import { makeSpirals } from "kasmina/data";
import type { Backend } from "kasmina/engine";
import { resmlp } from "kasmina/nn";
import { type Candidate, PlateauPolicy } from "kasmina/tamiyo";
import { grow } from "kasmina/weatherlight";
import { judgedBlueprints } from "./judgement-blueprints.js";
import { RememberingTracer } from "./remembering-tracer.js";

export const JUDGED: Readonly<Record<"useless" | "harmful" | "useful", Candidate>> = {
  useless: { id: "noise", parameters: {} },
  harmful: { id: "havoc", parameters: {} },
  useful: { id: "mlp-residual", parameters: { hidden: 32 } },
};

const EPOCHS = 14;
const BATCH = 50;
let dataset: Dataset | undefined;
const tracer = new RememberingTracer();

export interface Judgement {
  readonly verdict: "kept" | "culled" | "undecided";
  readonly why: string;
}

/** Spirals on the default host, which the useful block is known to help there; one seed, judged by the default policy. */
export async function judgeOnce(backend: Backend, candidate: Candidate, seed: number): Promise<Judgement> {
  dataset ??= makeSpirals({ train: 4_000 });
  let why = "";
  const { seeds } = await grow({
    runId: `judgement-${seed}`,
    host: resmlp(dataset),
    data: dataset,
    engine: backend,
    tracer,
    blueprints: judgedBlueprints.all,
    epochs: EPOCHS,
    batch: BATCH,
    seed,
    policy: new PlateauPolicy({ blueprints: [candidate], maxSeeds: 1, germinateAtEpoch: 2 }),
    latencyBudget: 600_000,
    onDecision: (decision) => {
      why = decision.why;
    },
  });
  const stage = seeds[0]?.stage;
  if (stage === "FOSSILIZED") return { verdict: "kept", why };
  return { verdict: stage !== undefined && !holdsParameters(stage) ? "culled" : "undecided", why };
}
