import { describe, expect, test } from "vitest";
import { deferred, KasminaError, ManualClock, sha256Hex } from "../../base/index.js";
import { resolveParameters } from "../../contracts/blueprint.js";
import {
  decodeKernelRequest,
  encodeKernelError,
  encodeKernelReady,
  type Kernel,
  type KernelReady,
  type KernelRequest,
  type MessageHandler,
  type MessagePort,
  runTopic,
  type Subscription,
} from "../../contracts/index.js";
import { describedBlueprints, describedKernel } from "../blueprints.fixture.js";
import { KernelCache } from "./cache.js";
import { BlueprintLocks } from "./lock.js";
import { type ArtifactReader, KernelPrefetch, type PrefetchOptions } from "./prefetch.js";
import type { KernelEvent } from "./telemetry.js";

/** A message port of arrays: what is published stays in `sent` until the test answers. */
class FakeMessages implements MessagePort {
  readonly sent: KernelRequest[] = [];
  readonly handlers = new Map<string, MessageHandler>();
  onPublish: (request: KernelRequest) => Promise<void> | void = () => {};
  closing: () => Promise<void> = async () => {};
  #entries = 0;

  async publish(_topic: string, payload: Uint8Array): Promise<string> {
    const request = decodeKernelRequest(payload);
    this.sent.push(request);
    await this.onPublish(request);
    return `${++this.#entries}`;
  }

  async subscribe(topic: string, _group: string, handler: MessageHandler): Promise<Subscription> {
    this.handlers.set(topic, handler);
    return { close: () => this.closing() };
  }

  deliver(topic: string, payload: Uint8Array): void {
    const entryId = `${++this.#entries}`;
    void this.handlers.get(topic)?.({ topic, entryId, lane: "normal", delivery: 1, payload });
  }

  ready(request: KernelRequest, changes: Partial<KernelReady> = {}): void {
    const sha256 = shaOf(request.blueprintId);
    const ready: KernelReady = {
      requestId: request.requestId,
      blueprintId: request.blueprintId,
      artifactRef: `${request.blueprintId}/${sha256}`,
      sha256,
      prewarmP50Ms: 1,
      prewarmP95Ms: 2,
      fallbackUsed: false,
      ...changes,
    };
    this.deliver(runTopic("kernelReady", "run-1"), encodeKernelReady(ready));
  }
}

const shaOf = (blueprintId: string): string => sha256Hex(blueprintId);
const never = (): Promise<never> => new Promise(() => {});

function kernelOf(blueprintId: string): Kernel {
  const blueprint = describedBlueprints.get(blueprintId);
  const parameters = resolveParameters(blueprint);
  return {
    blueprintId,
    parameters,
    sha256: shaOf(blueprintId),
    form: blueprint.form,
    tensors: describedKernel(blueprintId, [6], parameters),
    prewarmP50Ms: 0.5,
    prewarmP95Ms: 0.6,
    fallbackUsed: false,
  };
}

const reading: ArtifactReader = {
  read: async (ref) => kernelOf(ref.split("/")[0] ?? ""),
};

let ids = 0;
function requestOf(changes: Partial<KernelRequest> = {}): KernelRequest {
  return {
    requestId: `req-${++ids}`,
    blueprintId: "low-rank",
    parameters: {},
    trainingRunId: "run-1",
    seedId: "seed-1",
    slot: { id: "slot-1", shape: [6], depth: 1 },
    issuedAtMs: 1_700_000_000_000,
    ...changes,
  };
}

async function setup(changes: Partial<PrefetchOptions> = {}) {
  const clock = new ManualClock();
  const messages = new FakeMessages();
  const events: KernelEvent[] = [];
  const cache = new KernelCache(new BlueprintLocks({ clock }));
  const prefetch = await KernelPrefetch.open({
    messages,
    reader: reading,
    cache,
    observer: (event) => events.push(event),
    clock,
    trainingRunId: "run-1",
    blueprints: describedBlueprints,
    ...changes,
  });
  const fetch = (request: KernelRequest, signal = new AbortController().signal) => {
    const promise = prefetch.fetch(request, signal);
    promise.catch(() => {});
    return promise;
  };
  const names = (): string[] => events.map(({ name, level }) => `${name} ${level}`);
  const expectIdle = (): void => {
    expect(prefetch.stats).toMatchObject({ inflight: 0, outstanding: 0 });
    expect(prefetch.stats.worker).toMatchObject({ queued: 0, running: 0 });
    expect(clock.pendingTimers).toBe(0);
  };
  return { clock, messages, events, cache, prefetch, fetch, names, expectIdle };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 40; i++) await Promise.resolve();
}

describe("a request that is answered", () => {
  test("is sent once with everything in it, and gives the verified kernel", async () => {
    const { messages, fetch, events, prefetch, expectIdle } = await setup();
    const request = requestOf({ parameters: { rank: 8 } });
    const kernel = fetch(request);
    await settle();
    expect(messages.sent).toEqual([request]);
    expect(prefetch.stats).toMatchObject({ inflight: 1, outstanding: 1 });
    messages.ready(request);
    expect(await kernel).toEqual({ ...kernelOf("low-rank"), prewarmP50Ms: 1, prewarmP95Ms: 2 });
    expect(events.map(({ name, level }) => [name, level])).toEqual([
      ["prefetch_requested", "INFO"],
      ["prefetch_ready", "INFO"],
    ]);
    for (const event of events) {
      expect(event.trainingRunId).toBe("run-1");
      expect(event.attributes).toMatchObject({
        training_run_id: "run-1",
        request_id: request.requestId,
        seed_id: "seed-1",
        blueprint_id: "low-rank",
      });
    }
    expectIdle();
  });

  test("is outstanding before it is sent: an answer that overtakes the publishing is not missed", async () => {
    const { messages, fetch, expectIdle } = await setup();
    messages.onPublish = (request) => {
      messages.ready(request);
      return settle();
    };
    expect((await fetch(requestOf())).blueprintId).toBe("low-rank");
    expectIdle();
  });

  test("is joined by identical ones, each with a kernel of its own", async () => {
    const { messages, fetch, prefetch, names, expectIdle } = await setup();
    const kernels = [1, 2, 3].map((i) => fetch(requestOf({ seedId: `seed-${i}` })));
    const other = fetch(requestOf({ blueprintId: "mlp-residual" }));
    await settle();
    expect(messages.sent).toHaveLength(2);
    expect(prefetch.stats).toMatchObject({ joined: 2, inflight: 4, outstanding: 2 });
    for (const request of messages.sent) messages.ready(request);
    const [first, second] = await Promise.all(kernels);
    await other;
    first?.tensors.a?.data.fill(9);
    expect(second?.tensors.a?.data[0]).not.toBe(9);
    expect(names().filter((name) => name === "prefetch_ready INFO")).toHaveLength(4);
    expectIdle();
  });

  test("another slot shape, parameter, artifact or initial weights are not identical", async () => {
    const { messages, fetch } = await setup();
    const base = requestOf();
    const others = [
      { slot: { ...base.slot, shape: [7] } },
      { parameters: { rank: 4 } },
      { artifactSha256: shaOf("low-rank") },
      { initSeed: 3 },
    ];
    for (const change of [{}, ...others]) void fetch(requestOf(change));
    await settle();
    expect(messages.sent).toHaveLength(5);
  });

  test("the same artifact is read once; asked for by its digest, not even a message goes out", async () => {
    let reads = 0;
    const reader: ArtifactReader = {
      read: (...args) => {
        reads++;
        return reading.read(...args);
      },
    };
    const { messages, fetch, cache } = await setup({ reader });
    messages.onPublish = (request) => messages.ready(request);
    await fetch(requestOf());
    await fetch(requestOf());
    await fetch(requestOf({ artifactSha256: shaOf("low-rank") }));
    expect([reads, messages.sent.length]).toEqual([1, 2]);
    expect(cache.stats).toMatchObject({ hits: 2, misses: 1 });
  });

  test("the joiner's deadline is its own, and the one that left does not take the request with it", async () => {
    const { messages, fetch, clock, expectIdle, names } = await setup();
    const first = fetch(requestOf());
    await settle();
    clock.advance(600);
    const second = fetch(requestOf());
    await settle();
    clock.advance(400);
    await expect(first).rejects.toMatchObject({ details: { reason: "timeout" } });
    clock.advance(300);
    const [request] = messages.sent;
    if (request) messages.ready(request);
    expect((await second).blueprintId).toBe("low-rank");
    expect(names().filter((name) => name === "prefetch_timeout CRITICAL")).toHaveLength(1);
    expectIdle();
  });
});

describe("a request without a run", () => {
  test.each(["", " ", "\t\n"])("%j is refused, reported, and never sent", async (trainingRunId) => {
    const { messages, fetch, events, prefetch, expectIdle } = await setup();
    await expect(fetch(requestOf({ trainingRunId }))).rejects.toMatchObject({
      name: "DependencyViolationError",
      code: "dependency_violation",
      details: { reason: "missing_training_run_id" },
    });
    await settle();
    expect(messages.sent).toEqual([]);
    expect(events).toMatchObject([
      { name: "dependency_violation", level: "CRITICAL", attributes: { reason: "missing_training_run_id" } },
    ]);
    expect(prefetch.stats.requests.refused).toBe(1);
    expectIdle();
  });

  test("one that is missing altogether, from code without types, is refused as well", async () => {
    const { fetch, messages } = await setup();
    const { trainingRunId, ...rest } = requestOf();
    await expect(fetch(rest as KernelRequest)).rejects.toMatchObject({ code: "dependency_violation" });
    expect([messages.sent, trainingRunId]).toEqual([[], "run-1"]);
  });

  test.each([
    [{ trainingRunId: "run-2" }, "wrong_training_run_id"],
    [{ requestId: " " }, "missing_request_id"],
    [{ blueprintId: "" }, "missing_blueprint"],
    [{ blueprintId: "eval" }, "unknown_blueprint"],
  ])("%o is refused as %s", async (change, reason) => {
    const { fetch, messages } = await setup();
    await expect(fetch(requestOf(change))).rejects.toMatchObject({ details: { reason } });
    expect(messages.sent).toEqual([]);
  });
});

describe("a worker that misbehaves", () => {
  /** What the worker does, and the one event and reason that follow. */
  const failures: [string, (messages: FakeMessages, request: KernelRequest) => void, string][] = [
    [
      "reports an error",
      (messages, { requestId, blueprintId }) =>
        messages.deliver(
          runTopic("kernelErrors", "run-1"),
          encodeKernelError({ requestId, blueprintId, reason: "no such blueprint" }),
        ),
      "worker_error",
    ],
    [
      "answers for another blueprint",
      (messages, request) => messages.ready(request, { blueprintId: "mlp-residual" }),
      "wrong_blueprint",
    ],
    [
      "answers with the reference of another blueprint",
      (messages, request) => messages.ready(request, { artifactRef: "mlp-residual/x" }),
      "wrong_blueprint",
    ],
    [
      "answers with something that is no digest",
      (messages, request) => messages.ready(request, { sha256: "../../etc" }),
      "wrong_artifact",
    ],
    [
      "publishes something else than the digest says",
      (messages, request) => messages.ready(request, { artifactRef: "corrupt" }),
      "artifact_mismatch",
    ],
    [
      "points at nothing",
      (messages, request) => messages.ready(request, { artifactRef: "missing" }),
      "artifact_unreadable",
    ],
    [
      "sends weights that do not fit the slot",
      (messages, request) => messages.ready(request, { artifactRef: "squeeze" }),
      "wrong_weights",
    ],
  ];
  const reader: ArtifactReader = {
    async read(ref, sha256, signal) {
      if (ref === "corrupt") throw new KasminaError("corrupt", "the digest differs");
      if (ref === "missing") throw new KasminaError("io", "no such folder");
      if (ref === "squeeze") {
        const tensors = describedKernel("low-rank", [7], { rank: 8 });
        return { ...kernelOf("low-rank"), tensors };
      }
      return reading.read(ref, sha256, signal);
    },
  };

  test.each(failures)("%s", async (_name, answer, reason) => {
    const { messages, fetch, events, prefetch, cache, expectIdle } = await setup({ reader });
    const request = requestOf();
    const kernel = fetch(request);
    await settle();
    answer(messages, request);
    await expect(kernel).rejects.toMatchObject({
      name: "DependencyViolationError",
      details: { reason, requestId: request.requestId, trainingRunId: "run-1" },
    });
    expect(events.slice(1)).toMatchObject([
      { name: "prefetch_error", level: "CRITICAL", attributes: { reason, training_run_id: "run-1" } },
    ]);
    expect(prefetch.stats.requests).toMatchObject({ error: 1, ready: 0 });
    // What is truly the artifact of its digest may be cached, though it is not what was wanted.
    expect(cache.stats.size).toBe(reason === "wrong_weights" ? 1 : 0);
    expectIdle();
  });

  test("other parameters than asked for", async () => {
    const { messages, fetch } = await setup();
    messages.onPublish = (request) => messages.ready(request);
    await expect(fetch(requestOf({ parameters: { rank: 9 } }))).rejects.toMatchObject({
      details: { reason: "wrong_parameters" },
    });
  });

  test("another artifact than asked for", async () => {
    const { messages, fetch } = await setup();
    messages.onPublish = (request) => messages.ready(request);
    const artifactSha256 = shaOf("other");
    await expect(fetch(requestOf({ artifactSha256 }))).rejects.toMatchObject({
      details: { reason: "wrong_artifact" },
    });
  });

  test("never answers, or dies: a timeout, CRITICAL, with who waited for what and how long", async () => {
    const { messages, fetch, clock, events, prefetch, expectIdle } = await setup();
    const request = requestOf();
    const kernel = fetch(request);
    await settle();
    clock.advance(999);
    await settle();
    expect(prefetch.stats.inflight).toBe(1);
    clock.advance(1);
    await expect(kernel).rejects.toMatchObject({
      name: "DependencyViolationError",
      details: { reason: "timeout" },
    });
    expect(events.at(-1)).toEqual({
      name: "prefetch_timeout",
      level: "CRITICAL",
      atMs: clock.nowMs(),
      trainingRunId: "run-1",
      seedId: "seed-1",
      attributes: {
        request_id: request.requestId,
        blueprint_id: "low-rank",
        seed_id: "seed-1",
        training_run_id: "run-1",
        waited_ms: 1000,
      },
    });
    await settle();
    expectIdle();
    messages.ready(request);
    expect(prefetch.stats.ignoredAnswers.unknown).toBe(1);
    expect(prefetch.stats.requests).toMatchObject({ timeout: 1, ready: 0 });
  });

  test("answers twice, or after an error: the first counts, the others are ignored and counted", async () => {
    const gate = deferred<void>();
    const slow: ArtifactReader = {
      read: async (...args) => {
        await gate.promise;
        return reading.read(...args);
      },
    };
    const { messages, fetch, names, prefetch, expectIdle } = await setup({ reader: slow });
    const request = requestOf();
    const kernel = fetch(request);
    await settle();
    messages.ready(request);
    messages.ready(request, { fallbackUsed: true });
    await settle();
    messages.ready(request);
    gate.resolve();
    expect((await kernel).fallbackUsed).toBe(false);
    messages.ready(request);
    expect(prefetch.stats.ignoredAnswers).toEqual({ unknown: 3, malformed: 0 });
    expect(names()).toEqual(["prefetch_requested INFO", "prefetch_ready INFO"]);
    expectIdle();
  });

  test("used a fallback: the kernel says so, for the gate to refuse", async () => {
    const { messages, fetch, names } = await setup();
    messages.onPublish = (request) => messages.ready(request, { fallbackUsed: true });
    expect((await fetch(requestOf())).fallbackUsed).toBe(true);
    expect(names()).toContain("prefetch_ready WARNING");
    messages.onPublish = (request) => messages.ready(request);
    expect((await fetch(requestOf())).fallbackUsed).toBe(false);
  });

  test("sends bytes that are no answer: counted, and the request times out", async () => {
    const { messages, fetch, clock, prefetch, expectIdle } = await setup();
    const kernel = fetch(requestOf());
    await settle();
    const [request] = messages.sent;
    messages.deliver(runTopic("kernelReady", "run-1"), Uint8Array.of(255, 255, 255));
    messages.deliver(runTopic("kernelErrors", "run-1"), Uint8Array.of(255));
    if (request) messages.ready(request, { prewarmP95Ms: Number.NaN });
    clock.advance(1000);
    await expect(kernel).rejects.toMatchObject({ details: { reason: "timeout" } });
    expect(prefetch.stats.ignoredAnswers.malformed).toBe(3);
    await settle();
    expectIdle();
  });

  test("a disk that hangs: the deadline holds while reading too, and the lock is given back", async () => {
    const { messages, fetch, clock, cache, expectIdle } = await setup({ reader: { read: never } });
    messages.onPublish = (request) => messages.ready(request);
    const kernel = fetch(requestOf());
    await settle();
    clock.advance(1000);
    await expect(kernel).rejects.toMatchObject({ details: { reason: "timeout" } });
    await settle();
    expectIdle();
    expect(await cache.reset()).toBe(0);
  });
});

describe("a bus that misbehaves", () => {
  test("a publish that fails is an error with its cause", async () => {
    const { messages, fetch, events, expectIdle } = await setup();
    messages.onPublish = () => Promise.reject(new KasminaError("overloaded", "the queue is full"));
    await expect(fetch(requestOf())).rejects.toMatchObject({ details: { reason: "publish_failed" } });
    expect(events.at(-1)).toMatchObject({
      name: "prefetch_error",
      attributes: { reason: "publish_failed", message: "the queue is full" },
    });
    expectIdle();
  });

  test("a publish that hangs runs into the deadline", async () => {
    const { messages, fetch, clock, expectIdle } = await setup();
    messages.onPublish = never;
    const kernel = fetch(requestOf());
    await settle();
    clock.advance(1000);
    await expect(kernel).rejects.toMatchObject({ details: { reason: "timeout" } });
    await settle();
    expectIdle();
  });
});

describe("limits and closing", () => {
  test("the deadline counts the wait for a turn; a request that never had one is never sent", async () => {
    const { messages, fetch, clock, names } = await setup({ maxRunning: 1 });
    const kernels = [fetch(requestOf()), fetch(requestOf({ blueprintId: "mlp-residual" }))];
    await settle();
    clock.advance(1000);
    for (const kernel of kernels)
      await expect(kernel).rejects.toMatchObject({ details: { reason: "timeout" } });
    expect(messages.sent).toHaveLength(1);
    expect(names().filter((name) => name.startsWith("prefetch_timeout"))).toHaveLength(2);
  });

  test("more requests than may wait are refused at once", async () => {
    const { fetch, prefetch } = await setup({ maxRunning: 1, maxQueued: 1 });
    void fetch(requestOf());
    void fetch(requestOf());
    await expect(fetch(requestOf())).rejects.toMatchObject({ details: { reason: "overloaded" } });
    expect(prefetch.stats.inflight).toBe(2);
  });

  test("two requests under one id do not mix", async () => {
    const { messages, fetch } = await setup();
    const first = fetch(requestOf({ requestId: "same" }));
    await expect(fetch(requestOf({ requestId: "same", blueprintId: "mlp-residual" }))).rejects.toMatchObject({
      details: { reason: "duplicate_request_id" },
    });
    const [request] = messages.sent;
    if (request) messages.ready(request);
    expect((await first).blueprintId).toBe("low-rank");
  });

  test("the caller's signal cancels", async () => {
    const { fetch, names, expectIdle } = await setup();
    const controller = new AbortController();
    const kernel = fetch(requestOf(), controller.signal);
    await settle();
    controller.abort();
    await expect(kernel).rejects.toMatchObject({ code: "canceled" });
    expect(names().at(-1)).toBe("prefetch_canceled WARNING");
    await settle();
    expectIdle();
  });

  test("without a deadline a request waits as long as it takes", async () => {
    const { messages, fetch, clock, expectIdle } = await setup({ deadlineMs: null });
    const kernel = fetch(requestOf());
    await settle();
    clock.advance(24 * 60 * 60 * 1000);
    await settle();
    const [request] = messages.sent;
    if (request) messages.ready(request);
    expect((await kernel).blueprintId).toBe("low-rank");
    expectIdle();
  });

  test("forgetting empties the cache", async () => {
    const { messages, fetch, cache, prefetch } = await setup();
    messages.onPublish = (request) => messages.ready(request);
    await fetch(requestOf());
    expect(cache.stats.size).toBe(1);
    prefetch.forget();
    await settle();
    expect(cache.stats.size).toBe(0);
  });

  test.each([
    ["lets go", async () => {}],
    ["never lets go", never],
    ["fails to", () => Promise.reject(new Error("connection lost"))],
  ])("closing with 1,000 outstanding, on a bus that %s: all are canceled within a second", async (_, closing) => {
    const { messages, fetch, events, prefetch, clock, expectIdle } = await setup({ maxRunning: 600 });
    messages.closing = closing;
    const kernels = Array.from({ length: 1000 }, (_, i) =>
      fetch(requestOf({ seedId: `seed-${i}`, initSeed: i })),
    );
    await settle();
    expect(messages.sent).toHaveLength(600);
    expect(prefetch.stats.inflight).toBe(1000);
    let closed = false;
    const closedPromise = prefetch.close().then(() => {
      closed = true;
    });
    for (let passed = 0; passed < 1000 && !closed; passed += 10) {
      await settle();
      clock.advance(10);
    }
    expect(closed).toBe(true);
    await closedPromise;
    const outcomes = await Promise.allSettled(kernels);
    expect(outcomes.filter(({ status }) => status === "rejected")).toHaveLength(1000);
    const canceled = events.filter(({ name }) => name === "prefetch_canceled");
    expect(new Set(canceled.map(({ seedId }) => seedId)).size).toBe(1000);
    expect(prefetch.stats.requests).toEqual({ ready: 0, error: 0, timeout: 0, canceled: 1000, refused: 0 });
    expect(prefetch.stats.worker.canceled).toBe(1000);
    expectIdle();
    const late = fetch(requestOf());
    await expect(late).rejects.toMatchObject({ code: "canceled" });
  });

  test("the statistics keep the last latencies", async () => {
    const { messages, fetch, prefetch, clock } = await setup();
    messages.onPublish = (request) => {
      clock.advance(7);
      messages.ready(request);
    };
    await fetch(requestOf());
    expect(prefetch.stats).toMatchObject({ lastLatencyMs: 7, lastPrewarmP95Ms: 2 });
  });
});
