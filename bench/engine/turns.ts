/** Takes turns: what is compared runs side by side in one process, a short while each, round after round. */
import type { Backend, TracedProgram } from "kasmina/engine";
import { median } from "../measurement.js";
import type { BenchNet } from "./engine-nets.js";

/** A turn lasts about as long for everyone, so that a disturbance hits them alike. */
const TURN_MS = 250;

export type Step = () => Promise<unknown>;

/** Takes steps for a while; gives the median step in milliseconds. */
export type Turn = () => Promise<number>;

/** One step of a net's program, on a state of its own. */
export async function stepOn(backend: Backend, traced: TracedProgram, net: BenchNet): Promise<Step> {
  const program = await backend.compile(traced);
  const state = backend.createState();
  state.write(net.state);
  return () => program.run(state, net.batch, net.controls);
}

export function turnOf(step: Step): Turn {
  return async () => {
    const times: number[] = [];
    const endMs = performance.now() + TURN_MS;
    while (performance.now() < endMs || times.length < 3) {
      const startMs = performance.now();
      await step();
      times.push(performance.now() - startMs);
    }
    return median(times);
  };
}

/**
 * For each, the median step of each round, the rounds forwards and backwards in turn, so that nobody always comes after the
 * same neighbour; a first round only warms up.
 */
export async function takeTurns<N extends string>(
  turns: Readonly<Record<N, Turn>>,
  rounds: number,
): Promise<Record<N, number[]>> {
  const entries = Object.entries<Turn>(turns) as [N, Turn][];
  const times = Object.fromEntries(entries.map(([name]) => [name, []])) as unknown as Record<N, number[]>;
  for (let round = -1; round < rounds; round++) {
    for (const [name, turn] of round % 2 === 0 ? entries : [...entries].reverse()) {
      const ms = await turn();
      if (round >= 0) times[name].push(ms);
    }
  }
  return times;
}

/** The middle of the ratios of the rounds: what disturbs a round disturbs both. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((one, i) => one / (theirs[i] ?? Number.NaN)));
}
