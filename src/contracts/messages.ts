/** The port through which parts exchange bytes by topic. Oona's bus fills it; nothing here knows which bus. */

/** `emergency` is delivered ahead of everything on the normal lane and never waits behind it. */
export type MessageLane = "normal" | "emergency";

export interface Message {
  readonly topic: string;
  /** The bus's id of the message: the same at every delivery of it. */
  readonly entryId: string;
  readonly lane: MessageLane;
  /** 1 at the first delivery. */
  readonly delivery: number;
  /** The receiver's own copy. */
  readonly payload: Uint8Array;
}

/**
 * Handles one message. Resolving acknowledges it; rejecting, or not settling in time, has it delivered again. A message
 * may arrive more than once, so handling it twice must do no harm.
 */
export type MessageHandler = (message: Message) => Promise<void> | void;

export interface PublishOptions {
  /** Default normal. */
  readonly lane?: MessageLane;
}

export interface SubscribeOptions {
  /** Messages handled at the same time, a lane. Default 16. */
  readonly maxInFlight?: number;
  /** Whether the group goes on collecting messages when its last subscriber has left. Default true. */
  readonly durable?: boolean;
}

export interface Subscription {
  /** Hands out no further message. What is being handled may still be acknowledged. */
  close(): Promise<void>;
}

export interface MessagePort {
  /**
   * Resolves with the message's id once the bus holds it for every group of the topic.
   * Rejects with KasminaError: `overloaded` where a group's queue is full, `canceled` where the bus is closed,
   * `invalid_argument` for a payload over the bus's limit, `unavailable` where the bus cannot be reached for a while: it may
   * then hold the message all the same.
   */
  publish(topic: string, payload: Uint8Array, options?: PublishOptions): Promise<string>;
  /**
   * Each group receives every message that is published after its first subscription resolved; within a group each
   * message goes to one subscriber.
   */
  subscribe(
    topic: string,
    group: string,
    handler: MessageHandler,
    options?: SubscribeOptions,
  ): Promise<Subscription>;
}
