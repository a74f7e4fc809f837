/**
 * The one ingress (docs/architecture.md, "A command, file by file"): every delivery is verified, looked up in the
 * journal, dispatched, journaled, and only then acknowledged. Several deliveries share one commit of the journal, so
 * that durability costs one fsync a batch.
 *
 * A rejected envelope is not journaled (a flood of forgeries must not fill the disk); it leaves telemetry alone.
 */
import { toBinary } from "@bufbuild/protobuf";
import { toHex } from "../../base/bytes.js";
import type { Clock } from "../../base/clock.js";
import { messageOf } from "../../base/errors.js";
import {
  type AdaptationCommand,
  AdaptationCommandSchema,
} from "../../contracts/gen/kasmina/v1/command_pb.js";
import type { CommandDelivery, CommandOutcome } from "../../contracts/ports.js";
import { readCommand } from "../../contracts/read-command.js";
import {
  type CommandJournal,
  duplicateOf,
  type JournaledOutcome,
  type JournalRecord,
} from "../security/journal.js";
import {
  type AuthenticCommand,
  type CommandVerifier,
  issuedAtOf,
  type RejectionReason,
} from "../security/verifier.js";
import type { RunState } from "../state/run-state.js";
import { Rejections } from "../telemetry/rejections.js";
import type { Boundary } from "./context.js";
import { dispatch } from "./dispatcher.js";
import { identifierProblem } from "./identifiers.js";
import type { RefusalReason } from "./outcome.js";
import { liftHalt } from "./run-commands.js";

export interface CommandIngressOptions {
  readonly state: RunState;
  readonly verifier: CommandVerifier;
  readonly journal: CommandJournal;
  readonly clock: Clock;
}

/** Deliveries of repeated orders that are known again when they are redelivered; older ones are refused then. */
const REPEATS_MAX = 1_024;

/** A delivery of an order that was done before, and which one it was. */
interface Repeat {
  readonly nonce: string;
  readonly earlier: JournalRecord;
}

export class CommandIngress {
  readonly #options: CommandIngressOptions;
  readonly #rejections: Rejections;
  #lastSequence: number;
  /** By bus entry. They are not journaled: their nonces end with the process too. */
  readonly #repeats = new Map<string, Repeat>();
  /** Journaled commands that a resumed run has still to do again, in order. */
  #replays: JournalRecord[] = [];

  constructor(options: CommandIngressOptions) {
    this.#options = options;
    this.#rejections = new Rejections(options.state.telemetry, options.clock);
    this.#lastSequence = options.journal.lastSequence;
    restoreLedger(options);
  }

  /**
   * The last command that the run's state holds the effect of. Journaled ones that a resumed run has still to do again
   * are not among them: a checkpoint taken meanwhile must not skip them.
   */
  get lastSequence(): number {
    const [next] = this.#replays;
    return next ? next.sequence - 1 : this.#lastSequence;
  }

  /** Whether journaled commands wait for their step. New ones should not be drained until they are through. */
  get isReplaying(): boolean {
    return this.#replays.length > 0;
  }

  /**
   * Handles deliveries in order, makes their outcomes durable, then acknowledges them. Never throws for what is in
   * a delivery.
   * @throws KasminaError `io` where the journal cannot be written; nothing is acknowledged then
   */
  handleAll(deliveries: readonly CommandDelivery[], now: Boundary): CommandOutcome[] {
    const outcomes = deliveries.map((delivery) => this.#handle(delivery, now));
    this.#options.journal.commit();
    for (const [at, outcome] of outcomes.entries()) deliveries[at]?.acknowledge(outcome);
    return outcomes;
  }

  /** After a resume: journaled commands after `sequence` are replayed when their step comes. */
  replayAfter(sequence: number): void {
    this.#replays = this.#options.journal.records.filter((record) => record.sequence > sequence);
  }

  /** Replays journaled commands that were handled at this step or before; nothing is journaled twice. */
  replayDue(now: Boundary): void {
    for (let [next] = this.#replays; next && next.step <= now.step; [next] = this.#replays) {
      this.#replays.shift();
      // In a halted run no command is applied: the run was resumed in between, at this very step.
      if (next.outcome.status === "applied") liftHalt(this.#options.state);
      const command = readCommand(next.payload);
      this.#execute(command, { step: next.step, epoch: next.epoch }, () => undefined);
    }
  }

  /** Reports rejections that were not reported at once; `all`: also of those of the last second. */
  reportRejections(all = false): void {
    this.#rejections.flush(all);
  }

  #handle(delivery: CommandDelivery, now: Boundary): CommandOutcome {
    const authentication = this.#options.verifier.authenticate(delivery.envelope);
    if ("reason" in authentication) return this.#reject(delivery, authentication.reason);
    const { authentic } = authentication;
    const earlier = this.#deliveredBefore(delivery, authentic);
    return earlier ? this.#duplicate(delivery, earlier) : this.#admit(delivery, authentic, now);
  }

  /** What a message that the bus delivers again was answered from the first time. */
  #deliveredBefore({ busEntry }: CommandDelivery, { nonce }: AuthenticCommand): JournalRecord | undefined {
    const journaled = this.#options.journal.find(busEntry);
    if (journaled?.nonce === nonce) return journaled;
    const repeat = this.#repeats.get(busEntry);
    return repeat?.nonce === nonce ? repeat.earlier : undefined;
  }

  #admit(delivery: CommandDelivery, authentic: AuthenticCommand, now: Boundary): CommandOutcome {
    const { command } = authentic;
    const reason = this.#options.verifier.admit(authentic);
    if (reason) return this.#reject(delivery, reason, command);
    const done = this.#sameOrder(command);
    if (!done) return this.#accept(delivery, authentic, now);
    this.#rememberRepeat(delivery.busEntry, { nonce: authentic.nonce, earlier: done });
    return this.#duplicate(delivery, done);
  }

  /** Its nonce is known from now on: delivered again, it would pass for a replayed one. */
  #rememberRepeat(busEntry: string, repeat: Repeat): void {
    this.#repeats.set(busEntry, repeat);
    const [oldest] = this.#repeats.keys();
    if (this.#repeats.size > REPEATS_MAX && oldest !== undefined) this.#repeats.delete(oldest);
  }

  /**
   * The journaled command that this one repeats: same id, same issuer, same order, signed anew. A policy that resumes
   * with the run issues again what it had issued before the crash, and each has one effect.
   */
  #sameOrder(command: AdaptationCommand): JournalRecord | undefined {
    const earlier = this.#options.journal.findCommand(command.commandId);
    return earlier && sameOrder(readCommand(earlier.payload), command) ? earlier : undefined;
  }

  #accept(delivery: CommandDelivery, authentic: AuthenticCommand, now: Boundary): CommandOutcome {
    const { state, verifier, journal, clock } = this.#options;
    const { command } = authentic;
    state.telemetry.count("kasmina.command_verifier.accepted_total");
    const problem = identifierProblem(command, state);
    const outcome =
      problem === undefined
        ? this.#execute(command, now, () => verifier.ledger.reset())
        : refuseNames(command, state, problem);
    const { floorMs } = verifier.ledger;
    journal.append({
      sequence: ++this.#lastSequence,
      busEntry: delivery.busEntry,
      commandId: command.commandId,
      nonce: authentic.nonce,
      issuedAtMs: issuedAtOf(command) ?? 0,
      envelope: delivery.envelope,
      payload: authentic.payload,
      keyId: authentic.keyId,
      step: now.step,
      epoch: now.epoch,
      acceptedAtMs: clock.nowMs(),
      ...(Number.isFinite(floorMs) && { floorMs }),
      outcome,
    });
    return { ...outcome, commandId: command.commandId };
  }

  /** Runs the handler. A handler that throws is our mistake, not the sender's: the outcome is `failed`. */
  #execute(command: AdaptationCommand, now: Boundary, resetLedger: () => void): JournaledOutcome {
    const { state } = this.#options;
    try {
      const result = dispatch({ state, command, now, resetLedger });
      return result.status === "applied" ? { ...result, reason: "" } : result;
    } catch (error) {
      const message = messageOf(error);
      state.telemetry.event(undefined, "dependency_violation", "ERROR", {
        command_id: command.commandId,
        reason: "internal_error",
        message,
      });
      return { status: "failed", reason: "internal_error", message };
    }
  }

  #reject(delivery: CommandDelivery, reason: RejectionReason, command?: AdaptationCommand): CommandOutcome {
    const commandId = command?.commandId ?? "";
    this.#rejections.add(reason, commandId, delivery.busEntry);
    return { status: "refused", reason, ...(commandId !== "" && { commandId }) };
  }

  #duplicate(delivery: CommandDelivery, earlier: JournalRecord): CommandOutcome {
    this.#options.state.telemetry.event(undefined, "command_duplicate", "INFO", {
      command_id: earlier.commandId,
      bus_entry: delivery.busEntry,
      status: earlier.outcome.status,
    });
    return duplicateOf(earlier);
  }
}

/** The names themselves are not reported: they are what is wrong. */
function refuseNames({ payload }: AdaptationCommand, state: RunState, message: string): JournaledOutcome {
  const reason = "invalid_id" satisfies RefusalReason;
  const operation = payload.case ?? "none";
  state.telemetry.event(undefined, "seed_operation", "WARNING", {
    operation,
    status: "refused",
    reason,
    message,
  });
  return { status: "refused", reason, message };
}

/** A ledger begins with what the journal remembers, so that a restart forgets no nonce and lowers no floor. */
function restoreLedger({ verifier, journal }: CommandIngressOptions): void {
  const { ledger } = verifier;
  ledger.raiseFloor(journal.floorMs);
  for (const record of journal.records) ledger.restore(record);
  ledger.cleanup();
  ledger.beginIncarnation();
}

/** Whether two commands order the same, dates, nonces and incarnations aside. */
function sameOrder(a: AdaptationCommand, b: AdaptationCommand): boolean {
  return orderBytes(a) === orderBytes(b);
}

function orderBytes(command: AdaptationCommand): string {
  const undated = {
    ...command,
    issuedAt: undefined,
    nonce: new Uint8Array(),
    incarnation: "",
    decision: undefined,
  };
  return toHex(toBinary(AdaptationCommandSchema, undated));
}
