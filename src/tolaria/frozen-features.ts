/**
 * What the frozen prefix of a network gives for each row, computed when the row is first needed and kept in memory. The
 * programs begin with these values, kept or not, and FLOPs are counted as if nothing were kept, so that no budget of a run depends on it.
 * What is kept are the bits that a row has in any place of a batch, as far as the first batch can show that. Nothing of it is in
 * a checkpoint: a resumed run computes it again.
 */
import { type BatchSource, type EvaluationSource, sizeOf, type Tensor } from "../contracts/index.js";
import type { Program, State } from "../engine/index.js";
import type { FrozenPrefixPrograms } from "./tracing/programs.js";

const FLOAT32_BYTES = 4;

export interface FrozenFeaturesOptions {
  readonly train: BatchSource;
  readonly heldOut: EvaluationSource;
  /** Memory that may be filled, of training and held-out rows together. */
  readonly maxBytes: number;
}

/** Features of rows by number, memory for all of them; what is not filled takes none. */
class FeatureTable {
  readonly blocks: number;
  readonly #isFilled: Uint8Array;
  readonly #values: Float32Array;
  readonly #taken: Tensor;
  readonly #size: number;

  /** @param batch the form of a batch of features */
  constructor(blocks: number, rows: number, { shape, dtype }: Pick<Tensor, "shape" | "dtype">) {
    this.blocks = blocks;
    this.#size = sizeOf(shape.slice(1));
    this.#isFilled = new Uint8Array(rows);
    this.#values = new Float32Array(rows * this.#size);
    this.#taken = { shape, dtype, data: new Float32Array(sizeOf(shape)) };
  }

  has(rows: Int32Array): boolean {
    return rows.every((row) => this.#isFilled[row] === 1);
  }

  put(rows: Int32Array, { data }: Tensor): void {
    const values = data as Float32Array;
    rows.forEach((row, place) => {
      this.#values.set(values.subarray(place * this.#size, (place + 1) * this.#size), row * this.#size);
      this.#isFilled[row] = 1;
    });
  }

  /** A batch of rows that are there; the next call overwrites it. */
  take(rows: Int32Array): Tensor {
    const target = this.#taken.data as Float32Array;
    rows.forEach((row, place) => {
      target.set(this.#values.subarray(row * this.#size, (row + 1) * this.#size), place * this.#size);
    });
    return this.#taken;
  }
}

export class FrozenFeatures {
  readonly #options: FrozenFeaturesOptions;
  /** Held-out rows by their places in batches, padding among them: a pass meets each at the same place. */
  readonly #heldOutRows: number;
  #train: FeatureTable | undefined;
  #heldOut: FeatureTable | undefined;
  /** Whether a row of a training batch has the same features in every place of it; undefined before it was looked at. */
  #isPlaceless: boolean | undefined;

  constructor(options: FrozenFeaturesOptions) {
    this.#options = options;
    const { count, batch } = options.heldOut;
    this.#heldOutRows = Math.ceil(count / batch) * batch;
  }

  /** The most values a row that there is memory for; 0 where rows are not the same at every step. */
  get maxValues(): number {
    const { train, maxBytes } = this.#options;
    if (train.rows === undefined) return 0;
    return Math.floor(maxBytes / FLOAT32_BYTES / (train.rows + this.#heldOutRows));
  }

  /** What a training step begins with: the inputs x of its batch, or what the prefix gives for them. */
  async ofStep(
    prefix: FrozenPrefixPrograms | undefined,
    state: State,
    { x, rows }: { readonly x: Tensor; readonly rows: Int32Array | undefined },
  ): Promise<Tensor> {
    this.#forget(prefix);
    if (!prefix) return x;
    if (rows && this.#train?.has(rows)) return this.#train.take(rows);
    const features = await run(prefix.train, state, x);
    if (!rows) return features;
    this.#isPlaceless ??= await isPlaceless(prefix.train, state, x, features);
    if (!this.#isPlaceless) return features;
    this.#train ??= new FeatureTable(prefix.blocks, this.#options.train.rows ?? 0, features);
    this.#train.put(rows, features);
    return features;
  }

  /** What the evaluation of batch `index` of a source begins with; only of held-out rows is it kept. */
  async ofEvaluation(
    prefix: FrozenPrefixPrograms | undefined,
    state: State,
    { x, source, index }: { readonly x: Tensor; readonly source: EvaluationSource; readonly index: number },
  ): Promise<Tensor> {
    this.#forget(prefix);
    if (!prefix) return x;
    if (source !== this.#options.heldOut) return run(prefix.evaluate, state, x);
    const { batch } = source;
    const rows = Int32Array.from({ length: batch }, (_, place) => index * batch + place);
    if (this.#heldOut?.has(rows)) return this.#heldOut.take(rows);
    const features = await run(prefix.evaluate, state, x);
    this.#heldOut ??= new FeatureTable(prefix.blocks, this.#heldOutRows, features);
    this.#heldOut.put(rows, features);
    return features;
  }

  /** Lets go of what another prefix gave. */
  #forget(prefix: FrozenPrefixPrograms | undefined): void {
    const known = this.#train ?? this.#heldOut;
    if (!known || known.blocks === prefix?.blocks) return;
    this.#train = undefined;
    this.#heldOut = undefined;
    this.#isPlaceless = undefined;
  }
}

async function run(program: Program, state: State, x: Tensor): Promise<Tensor> {
  const { features } = await program.run(state, { x }, {});
  if (!features) throw new RangeError("the frozen prefix gave no features");
  return features;
}

/**
 * Whether the features of a batch are the same bits wherever its rows stand in it. Some kernels (softplus, log, sin) round the last
 * elements of a tensor otherwise than the others, for they take several at once: then a row's features are its place's too. Not all
 * values show it, so that this is no proof for other rows.
 */
async function isPlaceless(program: Program, state: State, x: Tensor, features: Tensor): Promise<boolean> {
  for (let places = 1; places < (x.shape[0] ?? 1); places++) {
    const moved = await run(program, state, rotated(x, places));
    const [here, there] = [rotated(features, places), moved].map(({ data }) => {
      return new Uint32Array(data.buffer, data.byteOffset, data.length);
    });
    if (!here?.every((word, i) => word === there?.[i])) return false;
  }
  return true;
}

/** Each row so many places on, the last ones first. */
function rotated({ shape, dtype, data }: Tensor, places: number): Tensor {
  const end = (places * data.length) / (shape[0] ?? 1);
  const turned = data.slice();
  turned.set(data.subarray(0, data.length - end) as never, end);
  turned.set(data.subarray(data.length - end) as never, 0);
  return { shape, dtype, data: turned };
}
