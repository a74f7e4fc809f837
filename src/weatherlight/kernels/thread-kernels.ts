/** The kernels of a run, served by a thread of their own; and what the two sides say to each other. */

import { MessagePort, Worker } from "node:worker_threads";
import {
  type Deferred,
  DependencyViolationError,
  deferred,
  errorFromPosted,
  type KasminaError,
  type PostedError,
} from "../../base/index.js";
import { environmentWithoutKeys } from "../../base/quiet-runtime.node.js";
import type { Kernel, KernelRequest, TelemetryMetric } from "../../contracts/index.js";
import type { EngineChoice } from "../../engine/index.js";
import type { KasminaConfig, KernelEvent } from "../../kasmina/index.js";
import type { Candidate } from "../../tamiyo/index.js";
import type { ModuleSource } from "../../tolaria/index.js";
import type { KernelListener, RunKernels } from "../grow/ports.js";

/** What the thread is started with: plain data. */
export interface KernelThreadStart {
  readonly trainingRunId: string;
  readonly seed: number;
  readonly catalogDir?: string;
  readonly engine: EngineChoice;
  readonly threads?: number;
  readonly batch: number;
  readonly config: KasminaConfig;
  /** Blueprints besides the built-in ones, as the thread loads them. */
  readonly blueprints?: readonly ModuleSource[];
  /** For measurements: how long every kernel is held back. */
  readonly holdMs?: number;
  /** Node's MessagePort at which the thread of the bus answers for the catalog service. Default: kernels are built here. */
  readonly catalogPort?: { postMessage(value: unknown): void };
}

/** To the thread. Those with an id are answered. */
export type KernelThreadRequest =
  | { readonly kind: "fetch"; readonly id: number; readonly request: KernelRequest }
  | { readonly kind: "cancel"; readonly id: number }
  | {
      readonly kind: "prewarm";
      readonly id: number;
      readonly candidates: readonly Candidate[];
      readonly shapes: readonly (readonly number[])[];
    }
  | { readonly kind: "forget" }
  | { readonly kind: "close"; readonly id: number };

/** From the thread; `ready` comes first. */
export type KernelThreadMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "failed_to_start"; readonly error: PostedError }
  | { readonly kind: "done"; readonly id: number; readonly kernel?: Kernel }
  | { readonly kind: "failed"; readonly id: number; readonly error: PostedError }
  | { readonly kind: "event"; readonly event: KernelEvent; readonly metrics: readonly TelemetryMetric[] };

/** Memory for young objects, in MB: with V8's default of 48 the thread held 10 MB more, and was no quicker. */
const YOUNG_GENERATION_MB = 12;

/** A thread that does not answer is ended after this; in the middle of a compilation that would end the process. */
const CLOSE_MS = 10_000;

type Unnumbered<M> = M extends { readonly id: number } ? Omit<M, "id"> : never;

export class ThreadKernels implements RunKernels {
  readonly #worker: Worker;
  readonly #ready = deferred<void>();
  readonly #pending = new Map<number, Deferred<Kernel | undefined>>();
  #listener: KernelListener = () => undefined;
  #count = 0;
  #failure: KasminaError | undefined;

  /**
   * Starts the thread and waits until it serves.
   * Rejects with KasminaError `engine` or `io` where its engine or catalog cannot be opened.
   */
  static async open(start: KernelThreadStart): Promise<ThreadKernels> {
    const kernels = new ThreadKernels(start);
    try {
      await kernels.#ready.promise;
      return kernels;
    } catch (error) {
      await kernels.#worker.terminate();
      throw error;
    }
  }

  private constructor(start: KernelThreadStart) {
    this.#worker = new Worker(new URL("./kernel-thread.js", import.meta.url), {
      workerData: start,
      transferList: start.catalogPort instanceof MessagePort ? [start.catalogPort] : [],
      env: environmentWithoutKeys(),
      stdout: true,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.#worker.stdout.pipe(process.stderr, { end: false });
    this.#worker.unref();
    this.#worker.on("message", (message: KernelThreadMessage) => this.#handle(message));
    this.#worker.on("error", (error) => this.#fail(error.message));
    this.#worker.on("exit", () => this.#fail("it has ended"));
  }

  listen(listener: KernelListener): void {
    this.#listener = listener;
  }

  async fetch(request: KernelRequest, signal: AbortSignal): Promise<Kernel> {
    const { id, answer } = this.#ask({ kind: "fetch", request });
    const cancel = (): void => this.#post({ kind: "cancel", id });
    if (signal.aborted) cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const kernel = await answer;
      if (!kernel) throw new DependencyViolationError("the kernel thread answered without a kernel");
      return kernel;
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  async prewarm(candidates: readonly Candidate[], shapes: readonly (readonly number[])[]): Promise<void> {
    await this.#ask({ kind: "prewarm", candidates, shapes }).answer;
  }

  forget(): void {
    this.#post({ kind: "forget" });
  }

  /** Cancels what is on its way and ends the thread, whether it answers or not. */
  async close(): Promise<void> {
    const tooLate = deferred<void>();
    const timer = setTimeout(() => tooLate.resolve(), CLOSE_MS);
    const closed = this.#ask({ kind: "close" }).answer;
    await Promise.race([closed, tooLate.promise]).catch(() => undefined);
    clearTimeout(timer);
    await this.#worker.terminate();
  }

  /** An unanswered question keeps the process alive, an idle thread does not. */
  #ask(question: Unnumbered<KernelThreadRequest>): { id: number; answer: Promise<Kernel | undefined> } {
    const id = this.#count++;
    const answer = deferred<Kernel | undefined>();
    if (this.#failure) answer.reject(this.#failure);
    else {
      this.#pending.set(id, answer);
      this.#worker.ref();
      this.#post({ ...question, id } as KernelThreadRequest);
    }
    return { id, answer: answer.promise };
  }

  #post(message: KernelThreadRequest): void {
    this.#worker.postMessage(message);
  }

  #handle(message: KernelThreadMessage): void {
    switch (message.kind) {
      case "ready":
        this.#ready.resolve();
        break;
      case "failed_to_start":
        this.#ready.reject(errorFromPosted(message.error));
        break;
      case "event":
        this.#listener(message.event, message.metrics);
        break;
      case "done":
        this.#take(message.id)?.resolve(message.kernel);
        break;
      case "failed":
        this.#take(message.id)?.reject(errorFromPosted(message.error));
        break;
      default:
        message satisfies never;
    }
  }

  #take(id: number): Deferred<Kernel | undefined> | undefined {
    const answer = this.#pending.get(id);
    this.#pending.delete(id);
    if (this.#pending.size === 0) this.#worker.unref();
    return answer;
  }

  #fail(problem: string): void {
    this.#failure ??= new DependencyViolationError(`the thread of the kernels failed: ${problem}`);
    this.#ready.reject(this.#failure);
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(this.#failure);
  }
}
