/**
 * A run that computes nothing: the real execution layer with its journal on disk, the real link to a real bus, a step every
 * 50 ms. What its optimizer was told, step after step, is its effects.
 */
import { join } from "node:path";
import { systemClock } from "../../src/base/index.js";
import { type CommandOutcome, type KeyRing, runTopic } from "../../src/contracts/index.js";
import { Kasmina } from "../../src/kasmina/index.js";
import { type DurableJournal, openJournal } from "../../src/kasmina/index.node.js";
import { builtinBlueprints } from "../../src/nn/index.js";
import { type BusNotice, type RedisBusOptions, RedisStreamsBus } from "../../src/oona/index.node.js";
import { BusLink } from "../../src/weatherlight/index.js";

const STEP_MS = 50;
/** Between two reports of how it is: of 20 such runs in one process each step would be more than they do otherwise. */
const STEPS_A_PACKET = 20;

export interface SimulatedRunOptions {
  readonly id: string;
  readonly keys: KeyRing;
  /** For its journal and its outbox. */
  readonly folder: string;
  readonly bus: RedisBusOptions;
}

interface Arrived {
  readonly envelope: Uint8Array;
  readonly busEntry: string;
  acknowledge(outcome: CommandOutcome): void;
}

export class SimulatedRun {
  readonly id: string;
  readonly journalPath: string;
  readonly journal: DurableJournal;
  readonly notices: BusNotice[] = [];
  /** Learning rates, as they took effect. */
  readonly effects: number[] = [];
  readonly #kasmina: Kasmina;
  #arrived: Arrived[] = [];
  #bus: RedisStreamsBus | undefined;
  #link: BusLink | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stepping: Promise<void> = Promise.resolve();
  #step = 0;

  static async open(options: SimulatedRunOptions): Promise<SimulatedRun> {
    const run = new SimulatedRun(options);
    const bus = await RedisStreamsBus.open({
      ...options.bus,
      name: options.id,
      onNotice: (notice) => run.notices.push(notice),
    });
    run.#bus = bus;
    run.#link = await BusLink.open({
      ...{ bus, keys: options.keys, trainingRunId: options.id, remotePolicy: false },
      outboxFolder: join(options.folder, `${options.id}.outbox`),
      onCommand: ({ entryId, envelope }) => run.#arrive(entryId, envelope),
    });
    run.#timer = setInterval(() => {
      run.#stepping = run.#stepping.then(() => run.#takeStep());
    }, STEP_MS);
    return run;
  }

  private constructor(options: SimulatedRunOptions) {
    const { id, keys, folder } = options;
    this.id = id;
    this.journalPath = join(folder, `${id}.journal`);
    this.journal = openJournal(this.journalPath, { keys, trainingRunId: id });
    this.#kasmina = new Kasmina({
      ...{
        trainingRunId: id,
        keys,
        journal: this.journal,
        clock: systemClock,
        blueprints: builtinBlueprints,
      },
      slots: [{ id: "block1", shape: [8], depth: 1 }],
      telemetry: { emit: (packet) => this.#link?.sendPacket(packet) },
      kernels: { fetch: () => Promise.reject(new Error("no kernel is asked for here")) },
    });
  }

  /** Messages that wait on the disk for the bus. */
  get waiting(): number {
    return this.#link?.waiting ?? 0;
  }

  get topic(): string {
    return runTopic("commands", this.id);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#stepping;
    await this.#link?.close({ ended: false });
    await this.#bus?.close();
    this.#kasmina.close();
    this.journal.close();
  }

  #arrive(busEntry: string, envelope: Uint8Array): void {
    this.#arrived.push({
      ...{ busEntry, envelope },
      acknowledge: (outcome) => this.#link?.answer(busEntry, outcome),
    });
  }

  async #takeStep(): Promise<void> {
    const step = ++this.#step;
    const drain = (): Arrived[] => this.#arrived.splice(0);
    this.#kasmina.receive({ drain }, { step, epoch: 0 });
    for (const change of await this.#kasmina.takeEffect(step))
      if (change.kind === "optimizer" && change.settings.learningRate !== undefined)
        this.effects.push(change.settings.learningRate);
    if (step % STEPS_A_PACKET === 0) this.#kasmina.flushTelemetry({ step, epoch: 0 });
  }
}
