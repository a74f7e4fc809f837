/**
 * Whether the policy distinguishes a useful blueprint from a useless and from a harmful one: runs with each, and their
 * results.
 */
import { openBackend } from "kasmina/engine";
import type { Figures, Measurement } from "../measurement.js";
import { JUDGED, judgeOnce } from "./judgement-run.js";

const RUNS = 20;

async function measure(args: readonly string[]): Promise<Figures> {
  const runs = Number(args[0] ?? RUNS);
  const { backend } = await openBackend("auto", { threads: 1 });
  const figures: Record<string, Figures> = {};
  for (const [kind, candidate] of Object.entries(JUDGED)) {
    const tally = { kept: 0, culled: 0, undecided: 0 };
    for (let seed = 0; seed < runs; seed++) {
      const { verdict, why } = await judgeOnce(backend, candidate, seed);
      tally[verdict]++;
      console.error(`${kind} ${seed}: ${verdict}; ${why}`);
    }
    figures[kind] = tally;
  }
  await backend.dispose();
  return { engine: backend.name, runs, ...figures };
}

export const judgement: Measurement = {
  name: "judgement",
  summary: "how often the policy keeps a useful blueprint, and culls a useless and a harmful one; [runs]",
  run: measure,
};
