/** Takes turns: what is compared runs side by side in one process, a short while each, round after round. */
import type { Backend, TracedProgram } from "kasmina/engine";
import type { BenchNet } from "./engine-nets.js";
import { median } from "./measurement.js";

/** A turn lasts about as long for everyone, so that a disturbance hits them alike. */
const TURN_MS = 250;

export type Step = () => Promise<unknown>;

/** One step of a net's program, on a state of its own. */
export async function stepOn(backend: Backend, traced: TracedProgram, net: BenchNet): Promise<Step> {
  const program = await backend.compile(traced);
  const state = backend.createState();
  state.write(net.state);
  return () => program.run(state, net.batch, net.controls);
}

/** For each, the median step of each round, in milliseconds. */
export async function takeTurns<N extends string>(
  turns: Readonly<Record<N, Step>>,
  rounds: number,
): Promise<Record<N, number[]>> {
  const entries = Object.entries<Step>(turns) as [N, Step][];
  const times = Object.fromEntries(entries.map(([name]) => [name, []])) as unknown as Record<N, number[]>;
  for (const [, step] of entries) for (let i = 0; i < 5; i++) await step();
  for (let i = 0; i < rounds; i++) {
    for (const [name, step] of entries) times[name].push(median(await timesOf(step)));
  }
  return times;
}

async function timesOf(step: Step): Promise<number[]> {
  const times: number[] = [];
  const endMs = performance.now() + TURN_MS;
  while (performance.now() < endMs || times.length < 3) {
    const startMs = performance.now();
    await step();
    times.push(performance.now() - startMs);
  }
  return times;
}
