/** Everything the execution layer of one run knows, shared by the command handlers and the step boundary. */

import { Breaker } from "../../base/breaker.js";
import type { Clock } from "../../base/clock.js";
import type { BlueprintCatalog } from "../../contracts/blueprint.js";
import type { IsolationTally } from "../../contracts/isolation.js";
import type { EmergencyLevel } from "../../contracts/names.js";
import type { InstalledTopology, KernelSource } from "../../contracts/ports.js";
import type { KasminaConfig } from "../config.js";
import { DueKernels } from "../kernels/due-kernels.js";
import type { FetchJournal } from "../security/journal.js";
import type { TelemetryHub } from "../telemetry/hub.js";
import { ChangePlan } from "./change-plan.js";
import { Closures } from "./closures.js";
import { SeedRegistry, type SlotSpec } from "./registry.js";
import { TeacherRegistry } from "./teacher.js";

export interface RunStateOptions {
  readonly trainingRunId: string;
  readonly slots: readonly SlotSpec[];
  readonly blueprints: BlueprintCatalog;
  readonly config: KasminaConfig;
  readonly clock: Clock;
  readonly kernels: KernelSource;
  readonly telemetry: TelemetryHub;
  readonly journal: FetchJournal;
}

/** Emergency levels that stay on until they are cleared. */
export type StandingEmergency = Exclude<EmergencyLevel, "CLEAR"> | undefined;

export class RunState {
  readonly trainingRunId: string;
  readonly config: KasminaConfig;
  readonly clock: Clock;
  readonly telemetry: TelemetryHub;
  readonly blueprints: BlueprintCatalog;
  readonly registry: SeedRegistry;
  readonly closures = new Closures();
  readonly plan = new ChangePlan();
  readonly kernels: DueKernels;
  readonly teacher: TeacherRegistry;
  readonly fetchBreaker: Breaker;
  readonly #isolationBreakers = new Map<string, Breaker>();
  readonly isolation: IsolationTally = { violations: 0, maxLeakRatio: 0, maxCosine: 0 };
  emergency: StandingEmergency;
  topology: InstalledTopology | undefined;

  constructor(options: RunStateOptions) {
    const { config, clock } = options;
    this.trainingRunId = options.trainingRunId;
    this.config = config;
    this.clock = clock;
    this.telemetry = options.telemetry;
    this.blueprints = options.blueprints;
    this.registry = new SeedRegistry(options.slots);
    const { kernels: source, journal, telemetry } = options;
    this.kernels = new DueKernels({ source, journal, clock, telemetry });
    this.teacher = new TeacherRegistry(config.teacher.memoryBudgetBytes);
    this.fetchBreaker = new Breaker(config.breakers.fetch);
  }

  /** Milliseconds of run time at a step: what breakers are fed. */
  runTimeMs(step: number): number {
    return step * this.config.stepMs;
  }

  /** A seed's own isolation breaker; another seed's success or failure never touches it. */
  isolationBreaker(seedId: string): Breaker {
    const found = this.#isolationBreakers.get(seedId);
    if (found) return found;
    const breaker = new Breaker(this.config.breakers.isolation);
    this.#isolationBreakers.set(seedId, breaker);
    return breaker;
  }

  /** Forgets a seed's isolation breaker, when the seed is gone. */
  forgetSeed(seedId: string): void {
    this.#isolationBreakers.delete(seedId);
  }

  get isolationBreakers(): ReadonlyMap<string, Breaker> {
    return this.#isolationBreakers;
  }
}
