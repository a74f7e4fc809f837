/**
 * Messages over a port between two threads: the thread of a run's kernels asks the catalog service by way of the thread that has
 * the bus and the keys. What was signed and verified there travels here as it is.
 */
import { MessageChannel, type MessagePort as ThreadPort } from "node:worker_threads";
import {
  type Deferred,
  deferred,
  errorFromPosted,
  type PostedError,
  postableError,
} from "../../base/index.js";
import type {
  Message,
  MessageHandler,
  MessagePort,
  PublishOptions,
  SubscribeOptions,
  Subscription,
} from "../../contracts/index.js";

/** To the thread of the bus. Those with an id are answered; a subscription is known by its own. */
type Asked =
  | {
      readonly kind: "publish";
      readonly id: number;
      readonly topic: string;
      readonly payload: Uint8Array;
      readonly options: PublishOptions;
    }
  | {
      readonly kind: "subscribe";
      readonly id: number;
      readonly topic: string;
      readonly group: string;
      readonly options: SubscribeOptions;
    }
  | { readonly kind: "unsubscribe"; readonly id: number; readonly subscription: number };

/** From the thread of the bus. */
type Told =
  | { readonly kind: "done"; readonly id: number; readonly entryId: string }
  | { readonly kind: "failed"; readonly id: number; readonly error: PostedError }
  | { readonly kind: "message"; readonly subscription: number; readonly message: Message };

/** The end that asks. A message is acknowledged to the bus when it is posted here: it lives no longer than this process anyway. */
export class PortMessages implements MessagePort {
  readonly #port: ThreadPort;
  readonly #pending = new Map<number, Deferred<string>>();
  readonly #handlers = new Map<number, MessageHandler>();
  #ids = 0;

  constructor(port: ThreadPort) {
    this.#port = port;
    port.on("message", (told: Told) => this.#receive(told));
  }

  publish(topic: string, payload: Uint8Array, options: PublishOptions = {}): Promise<string> {
    return this.#ask((id) => ({ kind: "publish", id, topic, payload, options }));
  }

  async subscribe(
    topic: string,
    group: string,
    handler: MessageHandler,
    options: SubscribeOptions = {},
  ): Promise<Subscription> {
    const subscription = this.#ids;
    this.#handlers.set(subscription, handler);
    await this.#ask((id) => ({ kind: "subscribe", id, topic, group, options }));
    return {
      close: async () => {
        this.#handlers.delete(subscription);
        await this.#ask((id) => ({ kind: "unsubscribe", id, subscription }));
      },
    };
  }

  close(): void {
    this.#port.close();
  }

  #ask(question: (id: number) => Asked): Promise<string> {
    const id = this.#ids++;
    const answer = deferred<string>();
    this.#pending.set(id, answer);
    this.#port.postMessage(question(id));
    return answer.promise;
  }

  #receive(told: Told): void {
    if (told.kind === "message") {
      void this.#handlers.get(told.subscription)?.(told.message);
      return;
    }
    const answer = this.#pending.get(told.id);
    this.#pending.delete(told.id);
    if (told.kind === "done") answer?.resolve(told.entryId);
    else answer?.reject(errorFromPosted(told.error));
  }
}

/** Serves `messages` at a port. @returns the port for the other thread, and what ends it */
export function servePort(messages: MessagePort): { readonly port: ThreadPort; close(): Promise<void> } {
  const { port1, port2 } = new MessageChannel();
  const subscriptions = new Map<number, Subscription>();
  const post = (told: Told): void => port1.postMessage(told);
  const perform = async (asked: Asked): Promise<string> => {
    switch (asked.kind) {
      case "publish":
        return messages.publish(asked.topic, asked.payload, asked.options);
      case "subscribe": {
        const { id, topic, group, options } = asked;
        const handler: MessageHandler = (message) => post({ kind: "message", subscription: id, message });
        subscriptions.set(id, await messages.subscribe(topic, group, handler, options));
        return "";
      }
      case "unsubscribe":
        await subscriptions.get(asked.subscription)?.close();
        subscriptions.delete(asked.subscription);
        return "";
    }
  };
  port1.on("message", (asked: Asked) => {
    perform(asked).then(
      (entryId) => post({ kind: "done", id: asked.id, entryId }),
      (error: unknown) => post({ kind: "failed", id: asked.id, error: postableError(error) }),
    );
  });
  return {
    port: port2,
    close: async () => {
      port1.close();
      await Promise.allSettled([...subscriptions.values()].map((subscription) => subscription.close()));
    },
  };
}
