/**
 * Oona, the message bus: at least once, with acknowledgement, redelivery, bounded queues, an emergency lane and
 * dead letters. Every bus passes `bus.conformance.ts`.
 */
import { KasminaError } from "../base/index.js";
import type { MessageLane, MessagePort } from "../contracts/index.js";

/** In the order of service. */
export const LANES = ["emergency", "normal"] as const satisfies readonly MessageLane[];

export interface BusLimits {
  /** Messages a group holds that are not acknowledged yet, a lane; publishing one more is refused. Default 1,024. */
  readonly maxQueued: number;
  /** Longest payload. Bulk bytes do not travel on the bus, references do. Default 1 MiB. */
  readonly maxPayloadBytes: number;
  /** How long a handler may take before its message is delivered again. Default 30,000. */
  readonly ackTimeoutMs: number;
  /** Deliveries of one message before it becomes a dead letter. Default 5. */
  readonly maxDeliveries: number;
  /** Pause before the second delivery; it doubles with each further one. Default 100. */
  readonly redeliveryMs: number;
  /** Dead letters kept of each group; the oldest goes first. Default 256. */
  readonly maxDeadLetters: number;
}

export const DEFAULT_BUS_LIMITS: BusLimits = {
  maxQueued: 1024,
  maxPayloadBytes: 1024 * 1024,
  ackTimeoutMs: 30_000,
  maxDeliveries: 5,
  redeliveryMs: 100,
  maxDeadLetters: 256,
};

/** A message that no delivery got acknowledged. */
export interface DeadLetter {
  readonly topic: string;
  readonly group: string;
  readonly entryId: string;
  readonly lane: MessageLane;
  readonly payload: Uint8Array;
  readonly deliveries: number;
  /** What the last delivery failed with. */
  readonly reason: string;
}

/** Of one group. published = acknowledged + dead + unacknowledged. */
export interface GroupStats {
  readonly published: number;
  readonly acknowledged: number;
  /** Deliveries after the first. */
  readonly redelivered: number;
  readonly dead: number;
  /** Waiting, being handled, or waiting for redelivery. */
  readonly unacknowledged: number;
  /** In the hands of this process's subscribers. */
  readonly inFlight: number;
}

export interface Bus extends MessagePort {
  /** Of one group, oldest first. */
  deadLetters(topic: string, group: string): Promise<readonly DeadLetter[]>;
  /** Of one group; undefined where there is no such group. */
  stats(topic: string, group: string): Promise<GroupStats | undefined>;
  /**
   * Takes a topic away with all that it holds, such as a run's own when the run has ended. Subscriptions to it get nothing more;
   * who subscribes later begins with what is published then.
   */
  removeTopic(topic: string): Promise<void>;
  /** Delivers nothing more and keeps nothing alive. Does not wait for handlers. Publishing afterwards is refused. */
  close(): Promise<void>;
}

/** What refuses a message that one group has no room for. */
export function groupFull(topic: string, group: string, limits: BusLimits): KasminaError {
  return new KasminaError(
    "overloaded",
    `group ${group} of ${topic} holds ${limits.maxQueued} unacknowledged messages`,
    { details: { topic, group } },
  );
}

/** @throws KasminaError `invalid_argument` */
export function checkPayload(topic: string, payload: Uint8Array, { maxPayloadBytes }: BusLimits): void {
  if (payload.length <= maxPayloadBytes) return;
  throw new KasminaError(
    "invalid_argument",
    `a message of ${payload.length} bytes on ${topic}; at most ${maxPayloadBytes} are allowed`,
  );
}
