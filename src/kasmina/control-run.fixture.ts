/** A run of the execution layer without an engine: what tests of the control plane drive. */
import { ManualClock } from "../base/index.js";
import {
  type CommandDelivery,
  type CommandDraft,
  type CommandOutcome,
  CommandSigner,
  float32,
  type Kernel,
  type KernelRequest,
  type KernelSource,
  KeyRing,
  type Order,
  type TelemetryEvent,
  type TelemetryPacket,
} from "../contracts/index.js";
import { describedBlueprints } from "./blueprints.fixture.js";
import {
  type CommandJournal,
  Kasmina,
  type KasminaConfigInput,
  parseConfig,
  type StructuralChange,
} from "./index.js";

export const RUN_ID = "run-1";
export const SLOTS = [
  { id: "block1", shape: [8], depth: 1 },
  { id: "block2", shape: [8], depth: 2 },
];
const SECRET = new Uint8Array(32).fill(7);

export function ring(id = "k1", secret: Uint8Array = SECRET): KeyRing {
  return new KeyRing([{ id, secret }]);
}

/** Nonces that count up: different, and the same in every run of a test. */
export function countingNonces(start = 1): () => Uint8Array {
  let next = start;
  return () => {
    const nonce = new Uint8Array(16);
    new DataView(nonce.buffer).setUint32(12, next++);
    return nonce;
  };
}

export function kernelFor(request: KernelRequest, changes: Partial<Kernel> = {}): Kernel {
  return {
    blueprintId: request.blueprintId,
    parameters: request.parameters,
    sha256: "a".repeat(64),
    form: "delta",
    tensors: { "up/w": float32([1], 0) },
    prewarmP50Ms: 1,
    prewarmP95Ms: 2,
    fallbackUsed: false,
    ...changes,
  };
}

export interface ControlRunOptions {
  readonly config?: KasminaConfigInput;
  readonly kernels?: KernelSource;
  readonly journal?: CommandJournal;
  readonly clock?: ManualClock;
  readonly keys?: KeyRing;
  readonly nonces?: () => Uint8Array;
  /** What every attached seed takes of a step's FLOPs. Default: nobody counts. */
  readonly stepShare?: number;
}

/** Kasmina with a clock, a key and a trainer that only records what it was asked to do. */
export class ControlRun {
  readonly clock: ManualClock;
  readonly keys: KeyRing;
  readonly packets: TelemetryPacket[] = [];
  readonly kasmina: Kasmina;
  readonly signer: CommandSigner;
  readonly acknowledged: CommandOutcome[] = [];
  readonly changes: StructuralChange[] = [];
  /** What G5 finds of each seed. */
  readonly residue = new Map<string, string[]>();
  step = 0;
  readonly #stepShare: number | undefined;
  #entries = 0;
  #lives = 0;
  #commands = 0;

  constructor(options: ControlRunOptions = {}) {
    this.#stepShare = options.stepShare;
    this.clock = options.clock ?? new ManualClock();
    this.keys = options.keys ?? ring();
    this.signer = new CommandSigner({
      keys: this.keys,
      clock: this.clock,
      nonce: options.nonces ?? countingNonces(),
    });
    this.kasmina = new Kasmina({
      trainingRunId: RUN_ID,
      slots: SLOTS,
      blueprints: describedBlueprints,
      config: parseConfig({ leadSteps: 2, embargoMs: 50, ...options.config }),
      clock: this.clock,
      telemetry: { emit: (packet) => void this.packets.push(structuredClone(packet)) },
      keys: this.keys,
      newIncarnation: () => `life-${++this.#lives}`,
      kernels: options.kernels ?? { fetch: (request) => Promise.resolve(kernelFor(request)) },
      ...(options.journal && { journal: options.journal }),
    });
  }

  get events(): TelemetryEvent[] {
    return this.packets.flatMap((packet) => packet.events);
  }

  draft(order: Order, rest: Partial<CommandDraft> = {}): CommandDraft {
    const commandId = `command-${++this.#commands}`;
    return { commandId, trainingRunId: RUN_ID, issuedBy: "test", order, ...rest };
  }

  deliver(envelope: Uint8Array, busEntry = `entry-${++this.#entries}`): CommandDelivery {
    return { envelope, busEntry, acknowledge: (outcome) => void this.acknowledged.push(outcome) };
  }

  /** Signs, delivers and handles one command at the present step. */
  order(order: Order, rest: Partial<CommandDraft> = {}): CommandOutcome {
    return this.handle(this.deliver(this.signer.sign(this.draft(order, rest))));
  }

  handle(delivery: CommandDelivery): CommandOutcome {
    return this.kasmina.handle(delivery, { step: this.step, epoch: 0 });
  }

  germinate(seedId = "s1", slotId = "block1", blueprintId = "mlp-residual"): CommandOutcome {
    return this.order({ kind: "SEED", operation: "GERMINATE", blueprintId }, { seedId, slotId });
  }

  operate(operation: Extract<Order, { kind: "SEED" }>["operation"], seedId = "s1"): CommandOutcome {
    return this.order({ kind: "SEED", operation }, { seedId });
  }

  /** Runs step boundaries until `step`, as a trainer would, with healthy measurements for every seed. */
  async runTo(step: number): Promise<StructuralChange[]> {
    const changes: StructuralChange[] = [];
    for (; this.step <= step; this.step++) {
      changes.push(...(await this.kasmina.takeEffect(this.step)));
      this.#recordTopology();
      this.kasmina.finishEmbargoes(this.step, { residue: (id) => this.residue.get(id) ?? [] });
      this.kasmina.recordStep({ loss: 1, seeds: this.#healthy(() => ({ gradientNorm: 1, loss: 1 })) });
      this.kasmina.flushTelemetry({ step: this.step, epoch: 0 });
    }
    this.step = step;
    this.changes.push(...changes);
    return changes;
  }

  /** A good evaluation for every seed. */
  evaluate(value = 0.1): void {
    const good = { value, stdErr: 0.01 };
    this.kasmina.recordEvaluation({
      loss: { value: 1, stdErr: 0.01 },
      seeds: this.#healthy(() => ({ shadowGain: good, contribution: good })),
    });
  }

  /** Takes a seed from nothing to a stage, every gate passed. */
  async grow(to: string, seedId = "s1", slotId = "block1"): Promise<void> {
    const operations = [
      "START_TRAINING",
      "START_BLENDING",
      "START_SHADOWING",
      "START_PROBATION",
      "FOSSILIZE",
    ];
    const stages = ["GERMINATED", "TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY", "FOSSILIZED"];
    this.germinate(seedId, slotId);
    await this.runTo(this.step + 3);
    for (const operation of operations.slice(0, stages.indexOf(to))) {
      this.evaluate();
      this.operate(operation as "FOSSILIZE", seedId);
      await this.runTo(this.step + 24);
    }
  }

  #healthy<T>(make: () => T): Record<string, T> {
    return Object.fromEntries(this.#attached().map(({ id }) => [id, make()]));
  }

  #attached() {
    return this.kasmina
      .seeds()
      .filter((seed) => seed.kernel && !/CULLED|EMBARGOED|RESETTING|DORMANT/.test(seed.stage));
  }

  #recordTopology(): void {
    const stepShare = this.#stepShare;
    if (stepShare !== undefined) this.kasmina.recordStepShares(this.#healthy(() => stepShare));
    this.kasmina.recordTopology({
      slots: Object.fromEntries(SLOTS.map(({ id, shape }) => [id, shape])),
      seeds: Object.fromEntries(this.#attached().map(({ id, slotId }) => [id, { slotId, outputShape: [8] }])),
    });
  }
}
