/**
 * The kernel catalog of all runs that meet on a bus: takes requests, builds or finds what is wanted, answers on the run's
 * own streams. Instances share the requests. The bytes lie in a folder that the trainers read too.
 */
import {
  Catalog,
  enginePrewarmer,
  KernelBuilder,
  KernelWorker,
  type Prewarmer,
} from "../../catalog/index.js";
import { type KeyRing, SignedMessages } from "../../contracts/index.js";
import type { Backend } from "../../engine/index.js";
import { type BlueprintRegistry, builtinBlueprints } from "../../nn/index.js";
import type { RedisStreamsBus } from "../../oona/index.node.js";
import type { Service } from "./service.js";

export interface CatalogServiceOptions {
  readonly bus: RedisStreamsBus;
  readonly keys: KeyRing;
  /** Folder of the catalog. */
  readonly catalogDir: string;
  /** Kernels are prewarmed on it. The caller's to dispose. */
  readonly backend: Backend;
  /** Rows of the batch that kernels are prewarmed with. Default 32. */
  readonly batch?: number;
  readonly blueprints?: BlueprintRegistry;
  /** Default: prewarms on `backend`. */
  readonly prewarmer?: Prewarmer;
  readonly onProblem?: (problem: string) => void;
}

export class CatalogService implements Service {
  readonly name = "catalog";
  readonly #bus: RedisStreamsBus;
  readonly #messages: SignedMessages;
  readonly #worker: KernelWorker;
  #closed = false;

  static async open(options: CatalogServiceOptions): Promise<CatalogService> {
    const { bus, keys, catalogDir, backend, batch = 32, blueprints = builtinBlueprints, onProblem } = options;
    const messages = new SignedMessages({
      port: bus,
      keys,
      onRefused: ({ entryId, reason }) => onProblem?.(`kernel request ${entryId} is refused: ${reason}`),
    });
    const builder = new KernelBuilder({
      catalog: await Catalog.open(catalogDir),
      blueprints,
      prewarm: options.prewarmer ?? enginePrewarmer(backend, { batch }),
      creator: "kasmina",
    });
    return new CatalogService(bus, messages, await KernelWorker.open({ messages, builder }));
  }

  private constructor(bus: RedisStreamsBus, messages: SignedMessages, worker: KernelWorker) {
    this.#bus = bus;
    this.#messages = messages;
    this.#worker = worker;
  }

  problem(): string | undefined {
    if (this.#closed) return "it is ending";
    return this.#bus.isUp ? undefined : "Redis cannot be reached";
  }

  status() {
    return { ...this.#worker.stats, refused: this.#messages.refused };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker.close();
  }
}
