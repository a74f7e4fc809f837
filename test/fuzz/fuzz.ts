/** Reads damaged bytes, and reports what a reader must never do with them. */
import { KasminaError, Random } from "../../src/base/index.js";
import { damaged } from "./mutate.js";
import type { Target } from "./targets.js";

/** Longer than this is a hang. */
const HANG_MS = 1_000;
/** What reading as many inputs as one likes may add to the process's greatest memory, garbage of the engine included. */
const MAX_GROWTH_MIB = 256;
/** Of those that read too long, how often each is read again: a busy machine is not a hang. */
const TIMES = 3;

/** Rejects with an Error naming the input, by seed and number, for which the reader crashed, hung, or took too much memory. */
export async function fuzz(target: Target, folder: string, inputs: number, seed: number): Promise<void> {
  const { samples, read } = await target.open(folder);
  for (const sample of samples) await read(sample);
  const random = Random.forLabel(seed, target.name);
  const before = process.resourceUsage().maxRSS;
  for (let input = 0; input < inputs; input++) {
    const bytes = damaged(random, samples, target.isJson);
    const problem = await problemOf(read, bytes);
    const grownMiB = (process.resourceUsage().maxRSS - before) / 1024;
    if (problem === undefined && grownMiB <= MAX_GROWTH_MIB) continue;
    const what = problem ?? `memory grew by ${Math.round(grownMiB)} MiB, ${MAX_GROWTH_MIB} are allowed`;
    const shown = Buffer.from(bytes).toString("base64").slice(0, 4_000);
    throw new Error(`${target.name}, seed ${seed}, input ${input}: ${what}\nbase64 ${shown}`);
  }
}

async function problemOf(
  read: (bytes: Uint8Array) => unknown,
  bytes: Uint8Array,
): Promise<string | undefined> {
  let ms = 0;
  for (let time = 0; time < TIMES; time++) {
    const startMs = performance.now();
    try {
      await read(bytes);
    } catch (error) {
      if (!(error instanceof KasminaError))
        return `not a KasminaError: ${error instanceof Error ? error.stack : String(error)}`;
    }
    ms = performance.now() - startMs;
    if (ms <= HANG_MS) return undefined;
  }
  return `read for ${Math.round(ms)} ms`;
}
