/** What `engine-growth` runs in a worker: MNIST grown as the command line does it, every step timed. */
import { openDataset } from "kasmina/data";
import { type Backend, type Program, wrapBackend, wrapProgram } from "kasmina/engine";
import { createNativeBackend } from "kasmina/engine/native";
import { parseConfig } from "kasmina/kasmina";
import { createHost } from "kasmina/nn";
import { PlateauPolicy } from "kasmina/tamiyo";
import {
  type GrowOptions,
  type GrowResult,
  grow as growRun,
  ProcessTracer,
  ThreadKernels,
} from "kasmina/weatherlight";
import { median } from "../measurement.js";

export interface StepGaps {
  /** From the end of whatever program ran before to the step's own end. */
  readonly medianMs: number;
  readonly longestMs: number;
  /** Training programs that ran. */
  readonly topologies: number;
}

const RUN_ID = "bench";
const EPOCHS = 6;
const BATCH = 64;
/** The first steps warm caches up; no graft is among them. */
const WARM_UP_STEPS = 20;

export async function grow({ threads = 1, onNotice }: GrowOptions): Promise<GrowResult> {
  const backend = await createNativeBackend({ threads });
  const dataset = await openDataset("mnist", { seed: 0 });
  const { inputShape, inputDType, classes } = dataset;
  const tracer = new ProcessTracer({
    host: {
      module: import.meta.resolve("kasmina/nn"),
      name: "createHost",
      args: ["resmlp", { inputShape, inputDType, classes }],
    },
  });
  const kernels = await ThreadKernels.open({
    trainingRunId: RUN_ID,
    seed: 0,
    engine: "native",
    threads,
    batch: BATCH,
    config: parseConfig(),
  });
  const clock = new StepClock();
  const result = await growRun({
    runId: RUN_ID,
    host: createHost("resmlp", dataset),
    data: dataset,
    engine: clock.watch(backend),
    tracer,
    kernels,
    epochs: EPOCHS,
    batch: BATCH,
    // Whatever the seed gains, it is let through: every topology is made.
    limits: { gates: { confidence: 0, minShadowGain: -1_000 } },
    policy: new PlateauPolicy({
      blueprints: [{ id: "mlp-residual", parameters: {} }],
      germinateAtEpoch: 1,
      maxSeeds: 1,
      minTraining: 2,
      confidence: 0,
      threshold: -1_000,
    }),
  });
  await kernels.close();
  await tracer.close();
  await backend.dispose();
  onNotice?.(JSON.stringify(clock.gaps()));
  return result;
}

class StepClock {
  readonly #gapsMs: number[] = [];
  readonly #trained = new Set<string>();
  #lastEndMs = performance.now();

  /** A back end whose programs report when they end. */
  watch(backend: Backend): Backend {
    return wrapBackend(backend, { program: (program) => this.#time(program) });
  }

  gaps(): StepGaps {
    const gapsMs = this.#gapsMs.slice(WARM_UP_STEPS);
    return {
      medianMs: median(gapsMs),
      longestMs: Math.max(...gapsMs),
      topologies: this.#trained.size,
    };
  }

  #time(program: Program): Program {
    const { definition, digest } = program.traced;
    return wrapProgram(program, async (state, batch, controls) => {
      const outputs = await program.run(state, batch, controls);
      const nowMs = performance.now();
      if (definition.name === "training step") {
        this.#gapsMs.push(nowMs - this.#lastEndMs);
        this.#trained.add(digest);
      }
      this.#lastEndMs = nowMs;
      return outputs;
    });
  }
}
