/**
 * The supervisor over a bus: receives telemetry and outcomes of all runs, the emergency lane at once, notices runs that fall
 * silent, and signs emergency commands by rule, within limits. Of several instances one works, the others stand by.
 */
import { randomUUID } from "node:crypto";
import { type Clock, messageOf, systemClock, type Timer } from "../../base/index.js";
import {
  CommandSigner,
  decodeOutcome,
  decodeTelemetry,
  type EmergencyLevel,
  type KeyRing,
  type Message,
  type RunOutcome,
  runTopic,
  SignedMessages,
  type Subscription,
  sharedTopic,
  type TelemetryEvent,
  type TelemetryPacket,
} from "../../contracts/index.js";
import type { RedisStreamsBus, TopicLease } from "../../oona/index.node.js";
import type { Answer } from "../telemetry/http-server.node.js";
import { MetricSeries } from "../telemetry/metric-series.js";
import { PrometheusExporter } from "../telemetry/prometheus.node.js";
import type { Service } from "./service.js";
import {
  type RunningProgram,
  type SupervisedProgram,
  Supervisor,
  type SupervisorAlert,
} from "./supervisor.js";

export interface WeatherlightRules {
  /** A run that has reported nothing for so long is silent: named at once, and once. Default 30 s. */
  readonly silentMs: number;
  /** What a silent run is sent, for when it listens again; null: nothing. Default null. */
  readonly onSilent: EmergencyLevel | null;
  /** So many runs whose isolation breaker opened within the time are no accident. Default 3 within 60 s. */
  readonly breakerRuns: number;
  readonly breakerWithinMs: number;
  /** What all runs are sent then; null: nothing. Default PAUSE_GROWTH. */
  readonly onBreakers: EmergencyLevel | null;
  /** Emergency commands that rules may send in an hour, over all runs. Default 100. */
  readonly maxCommandsPerHour: number;
}

export const WEATHERLIGHT_RULES: WeatherlightRules = {
  silentMs: 30_000,
  onSilent: null,
  breakerRuns: 3,
  breakerWithinMs: 60_000,
  onBreakers: "PAUSE_GROWTH",
  maxCommandsPerHour: 100,
};

export type Alert =
  | {
      readonly kind: "event";
      readonly trainingRunId: string;
      readonly seedId?: string;
      readonly event: TelemetryEvent;
    }
  | { readonly kind: "silent"; readonly trainingRunId: string; readonly silentMs: number }
  | { readonly kind: "heard_again"; readonly trainingRunId: string }
  | { readonly kind: "clock_skew"; readonly trainingRunId: string; readonly skewMs: number }
  | {
      readonly kind: "command";
      readonly trainingRunId: string;
      readonly level: EmergencyLevel;
      readonly reason: string;
    }
  | { readonly kind: "limit"; readonly reason: string }
  | { readonly kind: "problem"; readonly reason: string }
  | SupervisorAlert;

export interface WeatherlightOptions {
  readonly bus: RedisStreamsBus;
  /** Signs emergency commands, and verifies what runs report. */
  readonly keys: KeyRing;
  readonly rules?: Partial<WeatherlightRules>;
  readonly clock?: Clock;
  /** Another instance takes over so long after this one has gone. Default 10 s. */
  readonly leaseMs?: number;
  /** Receives what people must know, CRITICAL events at once. Must not throw. */
  readonly onAlert?: (alert: Alert) => void;
  /** Every packet. Must not throw. */
  readonly onPacket?: (packet: TelemetryPacket) => void;
  readonly onOutcome?: (outcome: RunOutcome) => void;
  /** What it starts and keeps running, and how. Default: nothing. */
  readonly supervises?: {
    readonly programs: readonly SupervisedProgram[];
    readonly start: (program: SupervisedProgram) => RunningProgram;
  };
}

interface WatchedRun {
  lastSeenMs: number;
  step: number;
  epoch: number;
  silent: boolean;
  /** When it said that it ends in order, milliseconds since 1970-01-01 UTC; one that goes on again says otherwise. */
  endedMs: number | undefined;
  skewed: boolean;
  packets: number;
  critical: number;
  readonly series: MetricSeries;
}

/** A run that was silent for so long is forgotten. */
const FORGOTTEN_MS = 24 * 3_600_000;
const HOUR_MS = 3_600_000;
/** Clocks of two machines that differ by more refuse each other's commands. */
const MAX_SKEW_MS = 5_000;
const GROUP = "weatherlight";
const LEASE_MS = 10_000;

export class WeatherlightService implements Service {
  readonly name = "weatherlight";
  readonly #options: WeatherlightOptions;
  readonly #rules: WeatherlightRules;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #messages: SignedMessages;
  readonly #signer: CommandSigner;
  readonly #runs = new Map<string, WatchedRun>();
  readonly #exporter = new PrometheusExporter();
  /** When each run's isolation breaker last opened. */
  readonly #breakers = new Map<string, number>();
  /** Of the commands that rules sent. */
  readonly #sentMs: number[] = [];
  readonly #counts = { packets: 0, outcomes: 0, critical: 0, commands: 0, refused: 0 };
  #supervisor: Supervisor | undefined;
  #lease: TopicLease | undefined;
  #subscriptions: readonly Subscription[] = [];
  #timer: Timer | undefined;
  /** In its commands' ids: a fence is counted anew where Redis was emptied, and a run takes an order of an id that it knows for done. */
  readonly #name = randomUUID();
  #commandIds = 0;
  #closed = false;

  static async open(options: WeatherlightOptions): Promise<WeatherlightService> {
    const service = new WeatherlightService(options);
    await service.#tick();
    service.#supervise();
    return service;
  }

  private constructor(options: WeatherlightOptions) {
    this.#options = options;
    this.#rules = { ...WEATHERLIGHT_RULES, ...options.rules };
    this.#clock = options.clock ?? systemClock;
    this.#leaseMs = options.leaseMs ?? LEASE_MS;
    this.#signer = new CommandSigner({ keys: options.keys, clock: this.#clock });
    this.#messages = new SignedMessages({
      port: options.bus,
      keys: options.keys,
      onRefused: ({ topic, entryId, reason }) => {
        this.#counts.refused++;
        this.#alert({ kind: "problem", reason: `${topic} ${entryId} is refused: ${reason}` });
      },
    });
  }

  problem(): string | undefined {
    if (this.#closed) return "it is ending";
    if (!this.#options.bus.isUp) return "Redis cannot be reached";
    const { givenUp = [] } = this.#supervisor ?? {};
    if (givenUp.length > 0) return `${givenUp.join(", ")} ended too often and is given up`;
    return this.#lease ? undefined : "another instance works, this one stands by";
  }

  status() {
    const runs = [...this.#runs].map(([id, { step, epoch, silent, endedMs, packets, critical }]) => ({
      ...{ run_id: id, step, epoch, silent, ended: endedMs !== undefined, packets, critical },
    }));
    const programs = this.#supervisor?.status();
    return { active: this.#lease !== undefined, ...this.#counts, ...(programs && { programs }), runs };
  }

  /** Of all runs; those of a silent one have ended, but for when it reported last, those of one that ended altogether. */
  metrics(): Promise<Answer> {
    for (const { silent, endedMs, packets, series } of this.#runs.values())
      if (!silent && endedMs === undefined && packets > 0) this.#exporter.apply(series.take());
    return this.#exporter.render();
  }

  /** Runs that are known, the silent ones included. */
  get runIds(): readonly string[] {
    return [...this.#runs.keys()];
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#supervisor?.close();
    await Promise.allSettled(this.#subscriptions.map((subscription) => subscription.close()));
    // Where Redis cannot be reached, the lease ends by itself.
    await this.#lease?.release().catch(() => undefined);
    this.#lease = undefined;
  }

  #supervise(): void {
    const { supervises } = this.#options;
    const onAlert = (alert: SupervisorAlert): void => this.#alert(alert);
    if (supervises) this.#supervisor = new Supervisor({ ...supervises, onAlert, clock: this.#clock });
  }

  /** Takes or keeps the lease, and looks who is silent. */
  async #tick(): Promise<void> {
    try {
      if (this.#lease) await this.#keepLease(this.#lease);
      else await this.#takeLease();
    } catch (error) {
      this.#alert({ kind: "problem", reason: messageOf(error) });
    }
    if (this.#closed) return;
    if (this.#lease) this.#findSilent();
    this.#timer = this.#clock.setTimer(
      () => void this.#tick(),
      Math.min(this.#leaseMs / 3, this.#rules.silentMs / 3),
    );
  }

  async #takeLease(): Promise<void> {
    this.#lease = await this.#options.bus.acquireLease(sharedTopic("telemetry"), this.#leaseMs);
    if (!this.#lease) return;
    const subscribe = (topic: string, handler: (message: Message) => void): Promise<Subscription> =>
      this.#messages.subscribe(topic, GROUP, handler, { maxInFlight: 256 });
    this.#subscriptions = [
      await subscribe(sharedTopic("telemetry"), ({ payload }) =>
        this.#receivePacket(decodeTelemetry(payload)),
      ),
      await subscribe(sharedTopic("outcomes"), ({ payload }) => this.#receiveOutcome(decodeOutcome(payload))),
    ];
  }

  async #keepLease(lease: TopicLease): Promise<void> {
    if (await lease.renew()) return;
    this.#lease = undefined;
    for (const subscription of this.#subscriptions) await subscription.close();
    this.#subscriptions = [];
    this.#alert({ kind: "problem", reason: "another instance works by now" });
  }

  #receivePacket(packet: TelemetryPacket): void {
    const { trainingRunId, seedId, events, step, epoch } = packet;
    this.#counts.packets++;
    const run = this.#seen(trainingRunId);
    Object.assign(run, {
      step: Math.max(run.step, step),
      epoch: Math.max(run.epoch, epoch),
      packets: run.packets + 1,
    });
    run.series.record(packet);
    this.#followEnd(trainingRunId, run, packet);
    this.#checkClock(trainingRunId, run, packet.atMs);
    this.#options.onPacket?.(packet);
    for (const event of events) {
      if (event.level !== "CRITICAL") continue;
      this.#counts.critical++;
      run.critical++;
      this.#alert({ kind: "event", trainingRunId, ...(seedId !== undefined && { seedId }), event });
      if (event.name === "isolation_breaker") this.#breakerOpened(trainingRunId);
    }
  }

  #receiveOutcome(outcome: RunOutcome): void {
    this.#counts.outcomes++;
    this.#seen(outcome.trainingRunId);
    this.#options.onOutcome?.(outcome);
  }

  #seen(id: string): WatchedRun {
    const nowMs = this.#clock.monotonicMs();
    const run = this.#runs.get(id) ?? {
      ...{
        lastSeenMs: nowMs,
        step: 0,
        epoch: 0,
        silent: false,
        endedMs: undefined,
        skewed: false,
        packets: 0,
        critical: 0,
      },
      series: new MetricSeries(),
    };
    this.#runs.set(id, run);
    if (run.silent) this.#alert({ kind: "heard_again", trainingRunId: id });
    run.silent = false;
    run.lastSeenMs = nowMs;
    return run;
  }

  /** What a run sent before its last packet may arrive behind it; what it sends afterwards says that it goes on again. */
  #followEnd(id: string, run: WatchedRun, { seedId, retired, atMs }: TelemetryPacket): void {
    if (retired && seedId === undefined) {
      run.endedMs = atMs;
      void this.#exporter.end(id);
    } else if (run.endedMs !== undefined && atMs > run.endedMs) run.endedMs = undefined;
  }

  /** A packet from the future is the work of a clock; one from the past may have waited in an outbox. */
  #checkClock(trainingRunId: string, run: WatchedRun, atMs: number): void {
    const skewMs = atMs - this.#clock.nowMs();
    const skewed = skewMs > MAX_SKEW_MS;
    if (skewed && !run.skewed) this.#alert({ kind: "clock_skew", trainingRunId, skewMs });
    run.skewed = skewed;
  }

  #findSilent(): void {
    const nowMs = this.#clock.monotonicMs();
    const { silentMs, onSilent } = this.#rules;
    for (const [id, run] of this.#runs) {
      const silentForMs = nowMs - run.lastSeenMs;
      if (silentForMs > FORGOTTEN_MS) this.#forget(id);
      else if (silentForMs > silentMs && !run.silent && run.endedMs === undefined) {
        run.silent = true;
        void this.#exporter.silence(id);
        this.#alert({ kind: "silent", trainingRunId: id, silentMs: silentForMs });
        if (onSilent)
          void this.#command(id, onSilent, `nothing was heard of the run for ${Math.round(silentForMs)} ms`);
      }
    }
  }

  #forget(id: string): void {
    this.#runs.delete(id);
    void this.#exporter.end(id);
  }

  #breakerOpened(id: string): void {
    const { breakerRuns, breakerWithinMs, onBreakers } = this.#rules;
    const nowMs = this.#clock.monotonicMs();
    this.#breakers.set(id, nowMs);
    for (const [run, openedMs] of this.#breakers)
      if (openedMs < nowMs - breakerWithinMs) this.#breakers.delete(run);
    if (this.#breakers.size < breakerRuns || !onBreakers) return;
    const reason = `isolation breakers opened in ${this.#breakers.size} runs within ${breakerWithinMs} ms`;
    this.#breakers.clear();
    for (const run of this.#runs.keys()) void this.#command(run, onBreakers, reason);
  }

  async #command(trainingRunId: string, level: EmergencyLevel, reason: string): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    while ((this.#sentMs[0] ?? nowMs) < nowMs - HOUR_MS) this.#sentMs.shift();
    if (this.#sentMs.length >= this.#rules.maxCommandsPerHour) {
      this.#alert({
        kind: "limit",
        reason: `no ${level} to ${trainingRunId}: ${this.#sentMs.length} commands in an hour`,
      });
      return;
    }
    this.#sentMs.push(nowMs);
    const envelope = this.#signer.sign({
      commandId: `weatherlight-${this.#name}-${++this.#commandIds}`,
      trainingRunId,
      issuedBy: "weatherlight",
      order: { kind: "EMERGENCY", level, reason },
    });
    try {
      await this.#options.bus.publish(runTopic("commands", trainingRunId), envelope, { lane: "emergency" });
      this.#counts.commands++;
      this.#alert({ kind: "command", trainingRunId, level, reason });
    } catch (error) {
      this.#alert({
        kind: "problem",
        reason: `${level} did not reach ${trainingRunId}: ${messageOf(error)}`,
      });
    }
  }

  #alert(alert: Alert): void {
    this.#options.onAlert?.(alert);
  }
}
