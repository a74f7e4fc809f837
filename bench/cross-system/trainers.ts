/**
 * Simulated trainers, many in one process: the real link to a real bus, real signatures, one step a second, no arithmetic. What is
 * commanded is in effect at once. Started by cross-system.ts, which tells it when to begin and asks for its figures.
 */
import { join } from "node:path";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import {
  COMMAND_CONTEXT,
  decodeEnvelope,
  type KeyRing,
  type SeedState,
  type SystemState,
  signatureProblem,
  type TelemetryEvent,
  type TelemetryPacket,
} from "kasmina/contracts";
import { loadKeys } from "kasmina/contracts/node";
import { RedisStreamsBus } from "kasmina/oona/node";
import { BusLink } from "kasmina/weatherlight";

export interface TrainersStart {
  readonly url: string;
  readonly keyFile: string;
  readonly folder: string;
  readonly ids: readonly string[];
  /** Between two steps of a run. */
  readonly stepMs: number;
}

export type TrainersOrder =
  | { readonly kind: "begin" }
  | { readonly kind: "forget" }
  | { readonly kind: "end" };

/** What they have seen since the last `forget`. */
export interface TrainersFigures {
  /** From the state that led to a command until its run had it, verified. */
  readonly decisionMs: readonly number[];
  readonly states: number;
  readonly packets: number;
  /** Packets that the bus did not take at once and that wait on disk. */
  readonly waiting: number;
  readonly commands: number;
  readonly forged: number;
  /** Of a run whose ids of commands came twice: what a redelivery is. */
  readonly repeated: number;
}

/** A read asks for all streams of its connection anew: hundreds of runs on one would measure that, and no trainer has more than one. */
const RUNS_A_BUS = 20;
const STAGES = ["GERMINATED", "TRAINING", "BLENDING", "SHADOWING", "PROBATIONARY", "FOSSILIZED"] as const;

class Trainer {
  readonly #id: string;
  readonly #keys: KeyRing;
  readonly #figures: Figures;
  readonly #seeds = new Map<string, number>();
  readonly #known = new Set<string>();
  #link: BusLink | undefined;
  #step = 0;
  #stateAtMs = 0;

  constructor(id: string, keys: KeyRing, figures: Figures) {
    this.#id = id;
    this.#keys = keys;
    this.#figures = figures;
  }

  async join(bus: RedisStreamsBus, folder: string): Promise<void> {
    this.#link = await BusLink.open({
      ...{
        bus,
        keys: this.#keys,
        trainingRunId: this.#id,
        outboxFolder: join(folder, this.#id),
        remotePolicy: true,
      },
      onCommand: ({ entryId, envelope }) => this.#carryOut(entryId, envelope),
    });
  }

  get waiting(): number {
    return this.#link?.waiting ?? 0;
  }

  /** One packet a seed, one of the run, and its state. */
  step(): void {
    this.#step++;
    for (const seedId of this.#seeds.keys()) this.#send([], seedId);
    this.#send([]);
    this.#figures.states++;
    this.#stateAtMs = performance.now();
    this.#link?.sendState(this.#state());
  }

  async leave(): Promise<void> {
    await this.#link?.close({ ended: true });
  }

  #carryOut(entryId: string, envelope: Uint8Array): void {
    const parts = decodeEnvelope(envelope);
    if (!parts || signatureProblem(this.#keys, COMMAND_CONTEXT, parts)) {
      this.#figures.forged++;
      return;
    }
    const { commandId, seedId } = namesIn(parts.payload);
    const outcome = { status: "applied", reason: "", commandId } as const;
    if (this.#known.has(commandId)) this.#figures.repeated++;
    else {
      this.#known.add(commandId);
      this.#figures.commands++;
      this.#figures.decisionMs.push(performance.now() - this.#stateAtMs);
      this.#seeds.set(seedId, (this.#seeds.get(seedId) ?? -1) + 1);
    }
    this.#link?.answer(entryId, outcome);
    this.#send([effect(commandId)], seedId);
  }

  #send(events: readonly TelemetryEvent[], seedId?: string): void {
    this.#figures.packets++;
    const isUrgent = events.length > 0;
    const packet: TelemetryPacket = {
      ...{ trainingRunId: this.#id, source: "kasmina", step: this.#step, epoch: 0, atMs: Date.now(), events },
      ...{ level: isUrgent ? "CRITICAL" : "INFO", priority: isUrgent ? "CRITICAL" : "LOW" },
      ...{ route: isUrgent ? "emergency" : "normal", metrics: [], retired: false },
      ...(seedId !== undefined && { seedId }),
    };
    this.#link?.sendPacket(packet);
  }

  #state(): SystemState {
    const estimate = { value: 0.1, stdErr: 0.001 };
    const seeds: SeedState[] = [...this.#seeds].map(([id, stage]) => ({
      ...{ id, slotId: "s1", blueprintId: "low-rank", stage: STAGES[stage] ?? "FOSSILIZED", alpha: 1 },
      ...{ rampDone: true, shadowGain: estimate, contribution: estimate, parameters: 10 },
    }));
    return {
      ...{ trainingRunId: this.#id, step: 20 * this.#step, epoch: 5, epochs: 10, trainLoss: 0.5, seeds },
      ...{
        heldOutLoss: { value: 0.5, stdErr: 0.01 },
        heldOutAccuracy: 0.5,
        closedBlueprints: {},
        openBreakers: [],
      },
      slots: ["s1", "s2"].map((id) => ({ id, shape: [8], depth: 1, seedIds: [] })),
      ...{ paramsHost: 100, paramsTotal: 100, flopsPerStep: 1, flopsTotal: this.#step },
    };
  }
}

interface Figures {
  decisionMs: number[];
  states: number;
  packets: number;
  commands: number;
  forged: number;
  repeated: number;
}

const noFigures = (): Figures => ({
  decisionMs: [],
  states: 0,
  packets: 0,
  commands: 0,
  forged: 0,
  repeated: 0,
});

/** What follows from a command, as Weatherlight hears of it at once. */
function effect(commandId: string): TelemetryEvent {
  return { name: "seed_stage", level: "CRITICAL", atMs: Date.now(), attributes: { command_id: commandId } };
}

/** Fields 2 and 5 of an AdaptationCommand. */
function namesIn(payload: Uint8Array): { commandId: string; seedId: string } {
  const reader = new BinaryReader(payload);
  const names = { commandId: "", seedId: "" };
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 2) names.commandId = reader.string();
    else if (field === 5) names.seedId = reader.string();
    else reader.skip(type, field);
  }
  return names;
}

const start = JSON.parse(process.argv[2] ?? "{}") as TrainersStart;
const figures = noFigures();
const keys = loadKeys(start.keyFile);
const all = start.ids.map((id) => new Trainer(id, keys, figures));
const tell = (what: object): void => void process.send?.(what);
const timers: NodeJS.Timeout[] = [];

/** Runs step each at a time of its own, not all at once. */
function begin(): void {
  for (const [i, trainer] of all.entries())
    timers.push(
      setTimeout(
        () => {
          trainer.step();
          timers.push(setInterval(() => trainer.step(), start.stepMs));
        },
        (i / all.length) * start.stepMs,
      ),
    );
}

process.on("message", async (order: TrainersOrder) => {
  switch (order.kind) {
    case "begin":
      return begin();
    case "forget":
      Object.assign(figures, noFigures());
      return;
    case "end": {
      for (const timer of timers) clearTimeout(timer);
      const untilMs = performance.now() + 30_000;
      const waiting = (): number => all.reduce((total, trainer) => total + trainer.waiting, 0);
      while (waiting() > 0 && performance.now() < untilMs) await new Promise((done) => setTimeout(done, 100));
      tell({ ...figures, waiting: waiting() } satisfies TrainersFigures);
      for (const trainer of all) await trainer.leave();
      for (const bus of buses) await bus.close();
      process.disconnect?.();
      return;
    }
    default:
      order satisfies never;
  }
});

const buses: RedisStreamsBus[] = [];
for (const [at, trainer] of all.entries()) {
  if (at % RUNS_A_BUS === 0) buses.push(await RedisStreamsBus.open({ url: start.url, name: "trainers" }));
  const bus = buses.at(-1);
  if (bus) await trainer.join(bus, start.folder);
}
tell({ joined: all.length });
