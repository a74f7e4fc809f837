/** What a run would be: its parts opened and checked, its first steps tried, nothing written. */
import { KasminaError } from "../../base/index.js";
import { type AnyDataset, type AnyInputs, isStored, type TaskId, taskOf } from "../../contracts/index.js";
import type { BackendName } from "../../engine/index.js";
import { slotsOf } from "../../nn/index.js";
import { OPTIMIZERS } from "../../tolaria/index.js";
import { trainRun } from "../grow/train-run.js";
import type { GrowOptions } from "./grow-options.js";
import { type OpenRun, setupOf, withOpenRun } from "./open-run.js";

/** Steps that are tried: the first ones are slow. */
const TRIED_STEPS = 20;
const FLOAT32_BYTES = 4;

/** As `kasmina grow --dry-run --json` prints it. What is expected is of the host alone, on this machine: what growth adds nobody knows yet. */
export interface RunPlan {
  readonly type: "plan";
  readonly host: string;
  readonly data: string;
  readonly task: TaskId;
  readonly engine: BackendName;
  readonly rows: { readonly train: number; readonly held_out: number; readonly test: number };
  readonly epochs: number;
  readonly batch: number;
  readonly steps: number;
  /** Where seeds may go, and which blueprints fit there. */
  readonly slots: readonly {
    readonly id: string;
    readonly shape: readonly number[];
    readonly blueprints: readonly string[];
  }[];
  /** Scalars of the host. */
  readonly params: number;
  /** Weights, and what the optimizer keeps of each. */
  readonly state_bytes: number;
  readonly data_bytes: number;
  /** Of one step, evaluations included. */
  readonly flops_per_step: number;
  readonly flops_total: number;
  readonly steps_per_s: number;
  readonly seconds: number;
}

/**
 * Opens and checks all that a run needs, does its first steps, and says what the whole of it takes; no file is written.
 *
 * @throws KasminaError as `grow` does before its first step; `invalid_argument` for a run that is resumed
 * @example
 * const { params, seconds } = await planRun({ data: "mnist", epochs: 30 });
 */
export async function planRun({ runDir: _, ...options }: GrowOptions): Promise<RunPlan> {
  if (options.resume !== undefined)
    throw new KasminaError("invalid_argument", "a resumed run cannot be tried out: it would go on");
  return withOpenRun(options, plan);
}

async function plan(run: OpenRun): Promise<RunPlan> {
  const { sources, config, backend, recorded } = run;
  const { host, dataset, blueprints } = sources;
  const { epochs, batch } = config;
  const steps = epochs * Math.floor(dataset.train.count / batch);
  const tried = Math.min(TRIED_STEPS, steps);
  const outcome = await trainRun({ ...setupOf(run), policy: null, until: { step: tried, at: "boundary" } });
  const flopsPerStep = outcome.flopsTotal / outcome.steps;
  const { slots } = OPTIMIZERS[config.optimizer];
  const allowed = slotsOf(host).filter(({ id }) => config.slots?.includes(id) ?? true);
  return {
    type: "plan",
    host: String(recorded.host),
    data: String(recorded.data),
    task: taskOf(dataset),
    engine: backend.name,
    rows: { train: dataset.train.count, held_out: dataset.heldOut.count, test: dataset.test.count },
    ...{ epochs, batch, steps },
    slots: allowed.map(({ id, shape }) => ({
      id,
      shape,
      blueprints: blueprints.ids.filter((blueprint) => blueprints.get(blueprint).supports(shape)),
    })),
    params: outcome.paramsHost,
    state_bytes: outcome.paramsHost * (1 + slots.length) * FLOAT32_BYTES,
    data_bytes: bytesOf(dataset),
    flops_per_step: flopsPerStep,
    flops_total: flopsPerStep * steps,
    steps_per_s: outcome.stepsPerSecond,
    seconds: steps / outcome.stepsPerSecond,
  };
}

/** In memory. */
function bytesOf({ train, heldOut, test }: AnyDataset): number {
  const inputBytes = (inputs: AnyInputs): number => (isStored(inputs) ? 0 : inputs.byteLength);
  return [train, heldOut, test].reduce(
    (bytes, { inputs, labels }) => bytes + inputBytes(inputs) + labels.byteLength,
    0,
  );
}
