/**
 * What an observation looks at of the held-out rows. The loss is of the same rows each time, so that its course can be followed. A seed is
 * compared on them and on a piece of the others, which goes round: what it is worth follows from the last pieces together, on rows that
 * are all different. Where that is clear, no more are looked at.
 */
import { maxOf, sum } from "../base/index.js";
import type { Estimate, EvaluationBatch, EvaluationRows, SeedPart, Tensor } from "../contracts/index.js";
import {
  type ComparisonSums,
  type EvaluationResult,
  EvaluationSums,
  gainOf,
  isJudged,
  type SeedSite,
  type Topology,
} from "../network/index.js";

/** Pieces that count of a seed that learns: older ones are of another seed. One that does not counts by all. */
const RECENT = 3;
/**
 * Of the rows that may be looked at by now, an observation takes so many, and leaves the rest to later ones. A seed in TRAINING has many
 * observations, and its counterfactual has the last word.
 */
const AT_ONCE: { readonly [P in SeedPart]: number } = {
  germinated: 0,
  shadow: 0.1,
  blending: 0,
  shadowing: 0.5,
  probationary: 0.5,
  grown: 0,
};
/** Standard errors by which an effect is so clear that more rows would change nothing. */
const CLEAR = 5;

export interface HeldOutRows {
  readonly rows: EvaluationRows;
  /** Rows that every observation looks at: those of some whole batches, or all. So a row always stands at its place of its batch. */
  readonly fixed: number;
  /** Rows that the run's end looks at: the test rows. */
  readonly atTheEnd: number;
}

/** One piece of the rows, as it was seen of one seed. */
interface Piece extends ComparisonSums {
  /** How many. */
  readonly count: number;
}

/** Of one seed in one part: pieces of rows that are all different, the newest last. */
interface Compared {
  readonly part: SeedPart;
  readonly pieces: readonly Piece[];
}

/** Plain data, part of a checkpoint. */
export interface LooksSnapshot {
  /** Place of the next row that is looked at besides the fixed ones. */
  readonly next: number;
  readonly seeds: Readonly<Record<string, Compared>>;
}

/** How a batch is evaluated, and how many more than those of the fixed rows may be by now. */
export interface Look {
  readonly topology: Topology;
  readonly evaluate: (batch: EvaluationBatch, index: number) => Promise<Readonly<Record<string, Tensor>>>;
  readonly more: number;
}

export interface Looked extends EvaluationResult {
  readonly batches: number;
  readonly seen: LooksSnapshot;
}

export class HeldOutLooks {
  readonly #options: HeldOutRows;
  #next: number;
  #seeds: Readonly<Record<string, Compared>> = {};

  constructor(options: HeldOutRows) {
    this.#options = options;
    this.#next = options.fixed;
  }

  /** Batches that every observation evaluates, and the run's end. */
  get fixedBatches(): number {
    return Math.ceil(this.#options.fixed / this.#options.rows.batch);
  }

  get batchesAtTheEnd(): number {
    return Math.ceil(this.#options.atTheEnd / this.#options.rows.batch);
  }

  /** What was seen is remembered by {@link restore}: a look may be broken off, and done again. */
  async look({ topology, evaluate, more }: Look): Promise<Looked> {
    const { rows, fixed } = this.#options;
    const sums = new EvaluationSums();
    for (let from = 0; from < fixed; from += rows.batch)
      sums.add(await evaluate(rows.at(from), from / rows.batch));
    const judged = topology.sites.filter(isJudged);
    const undecided = judged.filter(({ part }) => AT_ONCE[part] > 0);
    const most = Math.floor(more * maxOf(undecided.map(({ part }) => AT_ONCE[part])));
    const piece = new EvaluationSums();
    let [count, batches, next] = [0, 0, this.#next];
    const others = rows.count - fixed;
    const isOver = () =>
      batches >= most ||
      count >= others ||
      undecided.every((site) => this.#isClear(site, sums, piece, count));
    while (undecided.length > 0 && !isOver()) {
      const batch = rows.at(next);
      piece.add(await evaluate(batch, next / rows.batch));
      count += batch.count;
      batches++;
      next = next + batch.count < rows.count ? next + batch.count : fixed;
    }
    const compared = judged.map((site) => [site.seedId, this.#withPiece(site, piece, count)] as const);
    const gains = compared.map(([id, { pieces }]): [string, Estimate] => [
      id,
      gainOf([sums.comparisonOf(id), ...pieces]),
    ]);
    const seen = { next, seeds: Object.fromEntries(compared) };
    return { ...sums.result(topology), gains: new Map(gains), batches: this.fixedBatches + batches, seen };
  }

  /** After a rollback: what was seen was of another state. */
  forget(): void {
    this.#seeds = {};
  }

  snapshot(): LooksSnapshot {
    return { next: this.#next, seeds: this.#seeds };
  }

  restore({ next, seeds }: LooksSnapshot): void {
    this.#next = next;
    this.#seeds = seeds;
  }

  #isClear(site: SeedSite, sums: EvaluationSums, piece: EvaluationSums, count: number): boolean {
    const { pieces } = this.#withPiece(site, piece, count);
    const { value, stdErr } = gainOf([sums.comparisonOf(site.seedId), ...pieces]);
    return !Number.isFinite(value) || Math.abs(value) > CLEAR * stdErr;
  }

  /** What is known of a seed, with one more piece; of rows seen twice the newer look counts. */
  #withPiece({ seedId, part }: SeedSite, piece: EvaluationSums, count: number): Compared {
    const known = this.#seeds[seedId];
    const before = known?.part === part ? known.pieces : [];
    const all = count > 0 ? [...before, { ...piece.comparisonOf(seedId), count }] : before;
    const pieces = part === "shadowing" ? all : all.slice(-RECENT);
    const others = this.#options.rows.count - this.#options.fixed;
    const first = pieces.findIndex((_, i) => sum(pieces.slice(i).map((one) => one.count)) <= others);
    return { part, pieces: first < 0 ? [] : pieces.slice(first) };
  }
}
