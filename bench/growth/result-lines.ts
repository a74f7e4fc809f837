/** What growth has been measured to be worth, one committed line a run: measured once, kept, and added to on any day. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** One run of one arm. */
export interface ResultLine {
  readonly arm: string;
  /** Everything random follows from it; the arms of one seed are a pair. */
  readonly seed: number;
  readonly learning_rate: number;
  /** Everything that it computed after its parent, evaluations included. */
  readonly flops: number;
  /** On the test rows, in nats; NaN where the network was wrecked, which JSON writes as null. */
  readonly loss: number;
  readonly accuracy: number;
  readonly wall_s: number;
  /** Of a grown run: what became of its seeds. */
  readonly seeds?: string;
  /** `YYYY-MM-DD`. */
  readonly measured: string;
}

/** The repository's root, from which `npm run` starts. */
const RESULTS = join("bench", "growth", "results");

function resultIn(line: string): ResultLine {
  const result = JSON.parse(line) as ResultLine;
  return { ...result, loss: result.loss ?? Number.NaN };
}

export class ResultLines {
  readonly #path: string;
  readonly #lines: ResultLine[];

  constructor(experiment: string) {
    this.#path = join(RESULTS, `${experiment}.jsonl`);
    const text = existsSync(this.#path) ? readFileSync(this.#path, "utf8") : "";
    this.#lines = text.split("\n").flatMap((line) => (line === "" ? [] : [resultIn(line)]));
  }

  get all(): readonly ResultLine[] {
    return this.#lines;
  }

  of(arm: string, seed: number, learningRate: number): ResultLine | undefined {
    return this.#lines.find(
      (line) => line.arm === arm && line.seed === seed && line.learning_rate === learningRate,
    );
  }

  add(line: ResultLine): ResultLine {
    mkdirSync(dirname(this.#path), { recursive: true });
    appendFileSync(this.#path, `${JSON.stringify(line)}\n`);
    this.#lines.push(line);
    return line;
  }
}
