/** A bus that loses acknowledgements: what was handled is delivered again, and must do no harm. */
import { KasminaError, type Random } from "kasmina/base";
import type { MessageHandler, PublishOptions, SubscribeOptions, Subscription } from "kasmina/contracts";
import { type Bus, type DeadLetter, type GroupStats, MemoryBus } from "kasmina/oona";

/** Of the first deliveries; later ones get through. */
const LOST = 0.2;
const REDELIVERY_MS = 5;

export class FaultyBus implements Bus {
  readonly #sound = new MemoryBus({ redeliveryMs: REDELIVERY_MS });
  readonly #random: Random;
  /** Acknowledgements that were lost. */
  lost = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  publish(topic: string, payload: Uint8Array, options?: PublishOptions): Promise<string> {
    return this.#sound.publish(topic, payload, options);
  }

  subscribe(
    topic: string,
    group: string,
    handler: MessageHandler,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    const losing: MessageHandler = async (message) => {
      await handler(message);
      if (message.delivery > 1 || this.#random.uniform() >= LOST) return;
      this.lost++;
      throw new KasminaError("io", "the acknowledgement was lost: an injected fault");
    };
    return this.#sound.subscribe(topic, group, losing, options);
  }

  deadLetters(topic: string, group: string): Promise<readonly DeadLetter[]> {
    return this.#sound.deadLetters(topic, group);
  }

  stats(topic: string, group: string): Promise<GroupStats | undefined> {
    return this.#sound.stats(topic, group);
  }

  removeTopic(topic: string): Promise<void> {
    return this.#sound.removeTopic(topic);
  }

  close(): Promise<void> {
    return this.#sound.close();
  }
}
