/** Everything between a germination and its kernel, wired together: bus, catalog, its worker, cache and prefetch. */

import { makeTemporaryFolder, removeFolder } from "../../base/disk/index.node.js";
import { type Clock, systemClock } from "../../base/index.js";
import {
  Catalog,
  enginePrewarmer,
  KernelBuilder,
  KernelWorker,
  kernelSeed,
  type Prewarmer,
} from "../../catalog/index.js";
import type { Kernel, KernelRequest, MessagePort, TelemetryMetric } from "../../contracts/index.js";
import type { Backend } from "../../engine/index.js";
import {
  BlueprintLocks,
  type KasminaConfig,
  KernelCache,
  type KernelEvent,
  KernelPrefetch,
  kernelMetrics,
} from "../../kasmina/index.js";
import { type BlueprintRegistry, builtinBlueprints } from "../../nn/index.js";
import { type Bus, MemoryBus } from "../../oona/index.js";
import type { Candidate } from "../../tamiyo/index.js";
import type { KernelListener, RunKernels } from "../grow/ports.js";

export interface KernelServiceOptions {
  readonly trainingRunId: string;
  /** Initial weights of a kernel follow from it and the seed's id. */
  readonly seed: number;
  /** Folder of the catalog; left out: one that is gone when the service closes. */
  readonly catalogDir?: string;
  /** Kernels are prewarmed on it. The caller's to dispose. */
  readonly backend: Backend;
  /** Rows of the batch that kernels are prewarmed with. */
  readonly batch: number;
  readonly config: KasminaConfig;
  readonly blueprints?: BlueprintRegistry;
  readonly clock?: Clock;
  /**
   * What requests and answers travel on, closed with the service: one that may lose them, or on which others answer too,
   * so that the deadline of the configuration holds. Default: one in memory between this service and its own worker,
   * whose kernels take as long as they take.
   */
  readonly bus?: Bus;
  /**
   * On which a catalog service elsewhere answers, which writes its artifacts to `catalogDir`: then nothing is built here, and the
   * deadline of the configuration holds. The caller's to close. Default: kernels are built here.
   */
  readonly catalogService?: MessagePort;
  /** For measurements: how long the worker holds every kernel back. Default 0. */
  readonly holdMs?: number;
  /** Default: prewarms on `backend`. */
  readonly prewarmer?: Prewarmer;
}

export class KernelService implements RunKernels {
  readonly #seed: number;
  readonly #closers: (() => Promise<unknown>)[] = [];
  #builder: KernelBuilder | undefined;
  #prefetch: KernelPrefetch | undefined;
  #cache: KernelCache | undefined;
  #locks: BlueprintLocks | undefined;
  #listener: KernelListener = () => undefined;

  static async open(options: KernelServiceOptions): Promise<KernelService> {
    const service = new KernelService(options.seed);
    try {
      await service.#start(options);
      return service;
    } catch (error) {
      await service.close();
      throw error;
    }
  }

  private constructor(seed: number) {
    this.#seed = seed;
  }

  listen(listener: KernelListener): void {
    this.#listener = listener;
  }

  fetch(request: KernelRequest, signal: AbortSignal): Promise<Kernel> {
    const initSeed = request.initSeed ?? kernelSeed(this.#seed, request.seedId);
    return this.#opened(this.#prefetch).fetch({ ...request, initSeed }, signal);
  }

  forget(): void {
    this.#prefetch?.forget();
  }

  async prewarm(candidates: readonly Candidate[], shapes: readonly (readonly number[])[]): Promise<void> {
    // A service elsewhere builds what it is asked for, and keeps it.
    const builder = this.#builder;
    if (!builder) return;
    for (const { id, parameters } of candidates)
      for (const shape of shapes) await builder.prewarm(id, shape, parameters);
  }

  /** The state of fetching and caching. */
  metrics(): readonly TelemetryMetric[] {
    if (!this.#prefetch || !this.#cache || !this.#locks) return [];
    return kernelMetrics(this.#prefetch.stats, this.#cache.stats, this.#locks.stats);
  }

  /** Cancels what is on its way, each with its event. */
  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }

  async #start(options: KernelServiceOptions): Promise<void> {
    const { trainingRunId, config, clock = systemClock, blueprints = builtinBlueprints } = options;
    const catalog = await Catalog.open(options.catalogDir ?? (await this.#temporaryFolder()));
    const messages = options.catalogService ?? (await this.#startWorker(options, catalog));
    this.#locks = new BlueprintLocks({
      clock,
      contentionMs: config.kernel.lockContentionMs,
      onContention: ({ blueprintId, waitedMs, waiters }) =>
        this.#report({
          name: "cache_lock_contention",
          level: "WARNING",
          atMs: clock.nowMs(),
          trainingRunId,
          attributes: {
            blueprint_id: blueprintId,
            training_run_id: trainingRunId,
            waited_ms: waitedMs,
            waiters,
          },
        }),
    });
    this.#cache = new KernelCache(this.#locks, config.kernel.cacheArtifacts);
    const isOwn = (options.catalogService ?? options.bus) === undefined;
    const prefetch = await KernelPrefetch.open({
      messages,
      reader: catalog,
      cache: this.#cache,
      blueprints,
      observer: (event) => this.#report(event),
      clock,
      trainingRunId,
      deadlineMs: isOwn ? null : config.kernel.prefetchDeadlineMs,
      maxRunning: config.worker.concurrency,
      maxQueued: config.worker.queue,
    });
    this.#prefetch = prefetch;
    this.#closers.push(() => prefetch.close());
  }

  /** @returns what its requests and answers travel on */
  async #startWorker(options: KernelServiceOptions, catalog: Catalog): Promise<MessagePort> {
    const { clock = systemClock, blueprints = builtinBlueprints, holdMs = 0 } = options;
    const prewarm = options.prewarmer ?? enginePrewarmer(options.backend, { batch: options.batch, clock });
    const builder = new KernelBuilder({ catalog, blueprints, prewarm, creator: "kasmina" });
    const bus = options.bus ?? new MemoryBus({ clock });
    this.#closers.push(() => bus.close());
    const deadline = options.bus === undefined ? { deadlineMs: null } : {};
    const worker = await KernelWorker.open({ messages: bus, builder, clock, holdMs, ...deadline });
    this.#closers.push(() => worker.close());
    this.#builder = builder;
    return bus;
  }

  async #temporaryFolder(): Promise<string> {
    const folder = await makeTemporaryFolder("kasmina-catalog-");
    this.#closers.push(() => removeFolder(folder));
    return folder;
  }

  #report(event: KernelEvent): void {
    this.#listener(event, this.metrics());
  }

  #opened<T>(part: T | undefined): T {
    if (part === undefined) throw new RangeError("the kernel service is not open");
    return part;
  }
}
