/** Adds up what a soak's processes report, and says which of its invariants do not hold. */
import type { EventLine, Summary } from "kasmina/weatherlight";
import type { AnyLine, SoakLine, SoakOptions } from "./lines.js";
import { stepsPerEpoch } from "./measures.js";
import { type CommandKind, isRight } from "./orders.js";

type Held = Extract<SoakLine, { type: "held" }>;

/** In bytes; undefined where nothing was reported. */
interface QuarterMemory {
  readonly third: number | undefined;
  readonly last: number | undefined;
  readonly growth: number | undefined;
}

export interface RollbackTally {
  count: number;
  /** The longest, in milliseconds. */
  maxMs: number;
}

/** A rollback may take so long, by where it returns to. */
const WITHIN_MS: Readonly<Record<string, number>> = { memory: 500, checkpoint: 12_000 };
/**
 * How much more memory may be resident in the last quarter of a process's life than in the one before. Ten random seeds of 100 epochs
 * came to −2 to +4.6 %, by what happened to be compiled when; the one of 4.6 % to 0.1 % over 300 epochs.
 */
const MAX_GROWTH = 1.06;
/** A process that lives shorter is not warm by then. */
const MIN_LIFE_EPOCHS = 40;

export class Tally {
  readonly #sent = new Map<string, CommandKind>();
  readonly #answered = new Set<string>();
  /** By kind of order and answer. */
  readonly answers: Record<string, number> = {};
  readonly wrongAnswers: string[] = [];
  readonly faults: Record<string, number> = {};
  readonly events: Record<string, number> = {};
  /** By source and cause. */
  readonly rollbacks: Record<string, RollbackTally> = {};
  readonly held = new Map<number, Held>();
  readonly stages = new Set<string>();
  #steps = 0;
  #stepsAtTarget = 0;
  #reports = 0;
  kills = 0;
  readonly killedAt: number[] = [];
  damages = 0;
  passedOver = 0;
  readonly resumedAt: number[] = [];
  summary: Summary | undefined;

  /** Takes in one line. */
  add(line: AnyLine): void {
    switch (line.type) {
      case "sent":
        this.#sent.set(line.id, line.kind);
        break;
      case "answered":
        this.#onAnswer(line);
        break;
      case "fault":
        count(this.faults, line.kind);
        break;
      case "held":
        this.held.set(line.epoch, line);
        break;
      case "step":
        this.#steps = Math.max(this.#steps, line.step);
        this.#reports++;
        for (const { stage } of line.seeds) this.stages.add(stage);
        if (line.seeds.some(({ alpha }) => alpha === 1)) this.#stepsAtTarget++;
        break;
      case "event":
        this.#onEvent(line);
        break;
      case "notice":
        if (line.text.startsWith("resumed")) this.resumedAt.push(Number(/step (\d+)/.exec(line.text)?.[1]));
        if (line.text.startsWith("not used for the rollback")) this.passedOver++;
        break;
      case "summary":
        this.summary = line;
        break;
      default:
    }
  }

  /** Resumes that went back further than the epoch in which the process was killed: its last checkpoint was damaged. */
  get resumedFromPrevious(): number {
    return this.resumedAt.filter((step, at) => (this.killedAt[at] ?? 0) - step > stepsPerEpoch).length;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Part of the reported steps at which a seed stood at its full alpha. */
  get atTarget(): number {
    return this.#stepsAtTarget / Math.max(1, this.#reports);
  }

  get sent(): number {
    return this.#sent.size;
  }

  get unanswered(): readonly string[] {
    return [...this.#sent.keys()].filter((id) => !this.#answered.has(id));
  }

  /** What does not hold; empty where everything does. */
  problems({ epochs, flood }: Pick<SoakOptions, "epochs" | "flood">): readonly string[] {
    const { summary } = this;
    if (!summary) return ["the run did not end"];
    const problems: string[] = [];
    const want = (holds: boolean, problem: string): void => void (holds || problems.push(problem));
    const { violations, max_leak_ratio: leak } = summary.isolation;
    want(violations === 0 && leak === 0, `${violations} isolation violations, leak ratio ${leak}`);
    want(this.unanswered.length === 0, `unanswered: ${this.unanswered.join(", ")}`);
    want(this.wrongAnswers.length === 0, `wrong answers: ${this.wrongAnswers.join("; ")}`);
    const told = this.events.command_rejected ?? 0;
    want(flood === 0 || told < flood / 10, `a flood of ${flood} refusals was told in ${told} events`);
    want(Number.isFinite(summary.accuracy), `the accuracy is ${summary.accuracy}`);
    for (const [name, { maxMs }] of Object.entries(this.rollbacks)) {
      const limitMs = WITHIN_MS[name.split(" ")[0] ?? ""] ?? 0;
      want(maxMs <= limitMs, `a rollback (${name}) took ${maxMs.toFixed(0)} ms`);
    }
    want((this.rollbacks.failed?.count ?? 0) === 0, "a rollback had nothing to return to");
    const { growth } = this.memory(epochs);
    want(growth === undefined || growth <= MAX_GROWTH, `memory grew by a factor of ${growth?.toFixed(3)}`);
    return problems;
  }

  /**
   * The least resident memory of the third and of the last quarter of the life of the process that ended the run, in bytes.
   * Of a quarter, since a topology that has just been compiled leaves pages that the allocator gives back some epochs later;
   * of that process, since another has other code compiled. `growth` is undefined for a life too short to be warm.
   */
  memory(epochs: number): QuarterMemory {
    const born = Math.floor((this.resumedAt.at(-1) ?? 0) / stepsPerEpoch);
    const quarter = (epochs - born) / 4;
    const third = this.#least(epochs - 2 * quarter, epochs - quarter);
    const last = this.#least(epochs - quarter, epochs);
    const isWarm = epochs - born >= MIN_LIFE_EPOCHS;
    return { third, last, growth: isWarm && third && last ? last / third : undefined };
  }

  /** Of the epochs after one and up to another. */
  #least(after: number, upTo: number): number | undefined {
    const reported = [...this.held.values()].filter(({ epoch }) => epoch > after && epoch <= upTo);
    return reported.length === 0 ? undefined : Math.min(...reported.map(({ rss_bytes }) => rss_bytes));
  }

  #onAnswer({ id, kind, status, reason }: Extract<SoakLine, { type: "answered" }>): void {
    this.#answered.add(id);
    count(this.answers, `${kind} ${status}${reason === "" ? "" : ` (${reason})`}`);
    if (!isRight(kind, { status, reason })) this.wrongAnswers.push(`${id}: ${status} ${reason}`);
  }

  #onEvent({ name, restored, source, cause, latency_ms: latencyMs }: EventLine): void {
    count(this.events, name);
    if (name !== "rollback_restored") return;
    const key = restored ? `${source} ${cause}` : "failed";
    this.rollbacks[key] ??= { count: 0, maxMs: 0 };
    const tally = this.rollbacks[key];
    tally.count++;
    tally.maxMs = Math.max(tally.maxMs, Number(latencyMs ?? 0));
  }
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
