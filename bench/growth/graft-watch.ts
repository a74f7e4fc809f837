/**
 * What a graft does to the loss: the held-out loss right before and right after each boundary at which a seed's stage or
 * alpha changes, at the same weights of the host and of the seed, so that nothing but the graft lies between the two. It stands
 * between a run and its back end, sees every training step with its blend weights, and computes beside the run what the run
 * does not pay for and does not notice.
 */
import { type Dataset, float32, type Tensor, type Tensors } from "kasmina/contracts";
import { OrderedBatches } from "kasmina/data";
import { type Backend, type Program, type State, wrapBackend, wrapProgram } from "kasmina/engine";
import { evaluateRows } from "kasmina/tolaria";
import type { GrowOptions } from "kasmina/weatherlight";
import type { Evaluated, RememberingTracer } from "./remembering-tracer.js";

type RunControl = Parameters<NonNullable<GrowOptions["onControl"]>>[0];

const EVALUATION_BATCH = 256;
const BLEND = "blend/";

/** Held-out losses on both sides of one boundary. */
export interface GraftStep {
  readonly step: number;
  /** A new topology (a stage), or another alpha in the one that was there. */
  readonly change: "stage" | "alpha";
  readonly before: number;
  readonly after: number;
  /** The loss as it would be after the boundary without the seeds whose alpha changes; `before`, where none does. */
  readonly without: number;
}

/** A training step as it was last run. */
interface Ran {
  readonly program: Program;
  readonly blend: Readonly<Record<string, Tensor>>;
}

export class GraftWatch {
  readonly steps: GraftStep[] = [];
  /**
   * Boundaries with a new topology that nothing announced, so that the loss before them is not known: seeds that went
   * at once.
   */
  unmeasured = 0;
  readonly #dataset: Dataset;
  readonly #tracer: RememberingTracer;
  readonly #programs = new Map<Evaluated, Promise<Program>>();
  #control: RunControl | undefined;
  #last: Ran | undefined;
  /** Held-out loss after the last step, where a change was announced for the next. */
  #before: number | undefined;

  /** @param tracer the one that the run traces with */
  constructor(dataset: Dataset, tracer: RememberingTracer) {
    this.#dataset = dataset;
    this.#tracer = tracer;
  }

  /** Called with the run before its first step. */
  follow(control: RunControl): void {
    this.#control = control;
  }

  /** The worst rise of the loss from before a boundary to after it, relative to the loss before; 0 where it never rose. */
  get worstRise(): number {
    return Math.max(1, ...this.steps.map(({ before, after }) => after / before)) - 1;
  }

  /** The worst rise that the presence of seeds in a ramp makes, relative to the loss without them; 0 where it never rose. */
  get worstPresence(): number {
    return Math.max(1, ...this.steps.map(({ without, after }) => after / without)) - 1;
  }

  /** The back end for the run. */
  watched(backend: Backend): Backend {
    return wrapBackend(backend, {
      program: (program, traced) =>
        this.#tracer.evaluationOf(traced) ? this.#watching(program, backend) : program,
    });
  }

  #watching(program: Program, backend: Backend): Program {
    return wrapProgram(program, async (state, batch, controls) => {
      const ran = { program, blend: blendOf(controls) };
      const loss = (one: Ran): Promise<number> => this.#lossOf(one, state, backend);
      await this.#look(ran, loss);
      const outputs = await program.run(state, batch, controls);
      this.#last = ran;
      this.#before = this.#changesNext() ? await loss(ran) : undefined;
      return outputs;
    });
  }

  async #look(now: Ran, loss: (ran: Ran) => Promise<number>): Promise<void> {
    const last = this.#last;
    if (!last) return;
    const step = this.#step;
    if (now.program.traced !== last.program.traced) {
      const before = this.#before;
      if (before === undefined) this.unmeasured++;
      else this.steps.push({ step, change: "stage", before, after: await loss(now), without: before });
      return;
    }
    const changed = changedSeeds(now.blend, last.blend);
    if (changed.length === 0) return;
    const without = await loss({ program: now.program, blend: silenced(now.blend, changed) });
    this.steps.push({ step, change: "alpha", before: await loss(last), after: await loss(now), without });
  }

  get #step(): number {
    return this.#control?.status().step ?? 0;
  }

  #changesNext(): boolean {
    const next = this.#step + 1;
    const seeds = this.#control?.status().seeds ?? [];
    return seeds.some(({ pending }) => pending !== undefined && pending.effectiveStep <= next);
  }

  async #lossOf({ program, blend }: Ran, state: State, backend: Backend): Promise<number> {
    const evaluated = this.#tracer.evaluationOf(program.traced);
    if (!evaluated) throw new Error("no evaluation is known for a training step that ran");
    const { heldOut, inputShape } = this.#dataset;
    const rows = new OrderedBatches(heldOut, inputShape, EVALUATION_BATCH);
    const evaluate = this.#programs.get(evaluated) ?? backend.compile(evaluated.evaluate);
    this.#programs.set(evaluated, evaluate);
    const { loss } = await evaluateRows(await evaluate, evaluated.topology, state, rows, blend);
    return loss.value;
  }
}

function blendOf(controls: Tensors): Ran["blend"] {
  return Object.fromEntries(Object.entries(controls).filter(([name]) => name.startsWith(BLEND)));
}

/** Controls that are not what they were, by the seed they are of: `blend/<seed>`. */
function changedSeeds(now: Ran["blend"], last: Ran["blend"]): string[] {
  const changed = Object.entries(now).filter(([name, { data }]) =>
    data.some((value, i) => value !== last[name]?.data[i]),
  );
  return changed.map(([name]) => name.slice(0, name.lastIndexOf("/")));
}

/** The blend with these seeds at alpha 0: nothing of theirs in the output, and all of what is below them. */
function silenced(blend: Ran["blend"], seeds: readonly string[]): Ran["blend"] {
  const entries = Object.entries(blend).map(([name, tensor]): [string, Tensor] => {
    const [seed, weight] = [name.slice(0, name.lastIndexOf("/")), name.endsWith("/host_weight") ? 1 : 0];
    if (!seeds.includes(seed)) return [name, tensor];
    return [name, float32(tensor.shape, new Float32Array(tensor.data.length).fill(weight))];
  });
  return Object.fromEntries(entries);
}
