import type { InferenceSession } from "onnxruntime-node";
import { expect, test } from "vitest";
import type { LoweredProgram } from "../trace.js";
import { type Lease, SessionCache } from "./session-cache.js";

const MIB = 2 ** 20;

function programOf(digest: string, valueBytes: number): LoweredProgram {
  return { target: "cpu", model: new Uint8Array(), valueBytes, digest, inputs: [], outputs: [] };
}

/** A cache, and which of its sessions were closed. */
function watchedCache() {
  const cache = new SessionCache();
  const closed: string[] = [];
  const lease = (digest: string, valueBytes = 0): Promise<Lease> =>
    cache.lease(programOf(digest, valueBytes), async () => {
      const session: Pick<InferenceSession, "release"> = { release: async () => void closed.push(digest) };
      return session as InferenceSession;
    });
  return { cache, closed, lease };
}

test("small sessions without a user are kept for who asks again", async () => {
  const { cache, closed, lease } = watchedCache();
  (await lease("a", MIB)).release();
  (await lease("b", MIB)).release();
  await lease("a", MIB);
  expect(cache.stats).toEqual({ compiled: 2, cacheHits: 1 });
  expect(closed).toEqual([]);
});

test("of idle sessions that hold much the last ones used are kept, as many as 32 MiB allow", async () => {
  const { cache, closed, lease } = watchedCache();
  for (const name of ["a", "b", "c"]) (await lease(name, 12 * MIB)).release();
  await expect.poll(() => closed).toEqual(["a"]);
  (await lease("huge", 100 * MIB)).release();
  await expect.poll(() => closed).toEqual(["a", "huge"]);
  await lease("huge", 100 * MIB);
  expect(cache.stats).toEqual({ compiled: 5, cacheHits: 0 });
});

test("a session was used until its user let it go", async () => {
  const { closed, lease } = watchedCache();
  const longest = await lease("longest", 12 * MIB);
  for (const name of ["b", "c"]) (await lease(name, 12 * MIB)).release();
  longest.release();
  await expect.poll(() => closed).toEqual(["b"]);
});

test("a session in use is never closed, however much it holds", async () => {
  const { cache, closed, lease } = watchedCache();
  const used = await lease("used", 100 * MIB);
  (await lease("idle", 20 * MIB)).release();
  await lease("used", 100 * MIB);
  used.release();
  expect(closed).toEqual([]);
  expect(cache.stats).toEqual({ compiled: 2, cacheHits: 1 });
});

test("beyond 32 sessions those without a user are closed, the least recently used first", async () => {
  const { closed, lease } = watchedCache();
  for (let i = 0; i < 34; i++) (await lease(`${i}`)).release();
  await expect.poll(() => closed).toEqual(["0", "1"]);
});
