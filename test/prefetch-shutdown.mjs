// Leaves 1,000 kernel requests outstanding on a bus with no worker, closes, and says what became of them. Nothing is
// left that keeps the process alive: it ends by itself.
import { BlueprintLocks, KernelCache, KernelPrefetch } from "../dist/kasmina/index.js";
import { builtinBlueprints } from "../dist/nn/index.js";
import { MemoryBus } from "../dist/oona/index.js";

const names = {};
const prefetch = await KernelPrefetch.open({
  messages: new MemoryBus(),
  reader: { read: () => new Promise(() => {}) },
  cache: new KernelCache(new BlueprintLocks()),
  blueprints: builtinBlueprints,
  observer: ({ name }) => {
    names[name] = (names[name] ?? 0) + 1;
  },
  trainingRunId: "run",
  deadlineMs: 600_000,
});
const waiting = Array.from({ length: 1000 }, (_, i) =>
  prefetch.fetch(
    {
      requestId: `request-${i}`,
      blueprintId: "low-rank",
      parameters: {},
      trainingRunId: "run",
      seedId: `seed-${i}`,
      slot: { id: "block1", shape: [4], depth: 1 },
      issuedAtMs: 0,
      initSeed: i,
    },
    new AbortController().signal,
  ),
);
const outcomes = Promise.allSettled(waiting);
while (names.prefetch_requested !== waiting.length) await new Promise((resolve) => setImmediate(resolve));
if (process.argv[2] === "close") await prefetch.close();
const { inflight, outstanding, worker } = prefetch.stats;
const settled = process.argv[2] === "close" ? (await outcomes).length : 0;
console.log(JSON.stringify({ names, inflight, outstanding, settled, canceled: worker.canceled }));
