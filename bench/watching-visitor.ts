/** Who watches in `watching`: in each stretch that is watched a Prometheus scrapes once, and a page of the dashboard follows. */
import { setTimeout as sleep } from "node:timers/promises";
import { workerData } from "node:worker_threads";

interface Visit {
  /** The number of the stretch that is watched; 0 while none is. */
  readonly watched: Int32Array;
  /** URLs. */
  readonly metrics: string;
  readonly run: string;
}

const LOOK_MS = 20;
const { watched, metrics, run } = workerData as Visit;
const stretch = (): number => Atomics.load(watched, 0);
/** Of events.ndjson, as many as the page has. */
let lines = 0;

async function scrape(): Promise<void> {
  await (await fetch(metrics)).text();
}

/** Has the run drawn again and again, as often as the server bears. */
async function draw(now: number): Promise<void> {
  while (stretch() === now) {
    const answer = await fetch(`${run}/view`);
    await answer.text();
    const until = performance.now() + Number(answer.headers.get("x-redraw-after-ms"));
    while (stretch() === now && performance.now() < until) await sleep(LOOK_MS);
  }
}

/** The stream that tells the page of new lines, as long as the stretch lasts. */
async function follow(now: number): Promise<void> {
  const over = new AbortController();
  const response = await fetch(`${run}/count?after=${lines}`, { signal: over.signal });
  const watch = setInterval(() => stretch() !== now && over.abort(), LOOK_MS);
  const decoder = new TextDecoder();
  try {
    for await (const part of response.body ?? [])
      for (const [, id] of decoder.decode(part, { stream: true }).matchAll(/^id: (\d+)$/gm))
        lines = Number(id);
  } finally {
    clearInterval(watch);
  }
}

for (let seen = 0; ; await sleep(LOOK_MS)) {
  const now = stretch();
  if (now === 0 || now === seen) continue;
  seen = now;
  // Before the run's first line there is nothing to follow, and a stream ends when its stretch does.
  await Promise.allSettled([scrape(), draw(now), follow(now)]);
}
