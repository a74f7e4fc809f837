/** The subscribers of one group in this process, and how many messages each has in hand. */
import type { MessageHandler, MessageLane } from "../contracts/index.js";

/** Messages that a subscriber handles at once, a lane, unless it says otherwise. */
export const DEFAULT_MAX_IN_FLIGHT = 16;

export interface Subscriber {
  readonly handler: MessageHandler;
  readonly maxInFlight: number;
  readonly inFlight: Record<MessageLane, number>;
}

export class Subscribers {
  readonly #all = new Set<Subscriber>();

  get size(): number {
    return this.#all.size;
  }

  /** @returns what takes the subscriber out again */
  add(handler: MessageHandler, maxInFlight = DEFAULT_MAX_IN_FLIGHT): () => void {
    const subscriber: Subscriber = { handler, maxInFlight, inFlight: { normal: 0, emergency: 0 } };
    this.#all.add(subscriber);
    return () => void this.#all.delete(subscriber);
  }

  clear(): void {
    this.#all.clear();
  }

  inFlight(lane: MessageLane): number {
    return [...this.#all].reduce((sum, each) => sum + each.inFlight[lane], 0);
  }

  /** Messages that all of them could take now. */
  room(lane: MessageLane): number {
    return [...this.#all].reduce((sum, each) => sum + Math.max(0, each.maxInFlight - each.inFlight[lane]), 0);
  }

  /** The one with the least to do. */
  free(lane: MessageLane): Subscriber | undefined {
    let free: Subscriber | undefined;
    for (const each of this.#all) {
      if (each.inFlight[lane] >= each.maxInFlight) continue;
      if (!free || each.inFlight[lane] < free.inFlight[lane]) free = each;
    }
    return free;
  }
}
