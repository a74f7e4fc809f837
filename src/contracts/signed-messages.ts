/**
 * Messages with a signature: a port over another one that signs what is published with the context of its stream, and hands
 * on what was signed alone. Commands go through as they are: who receives them verifies them itself, and their order of checks.
 */
import { KasminaError } from "../base/errors.js";
import { decodeEnvelope, type EnvelopeParts, signatureProblem, signEnvelope } from "./envelope.js";
import type { KeyRing } from "./key-ring.js";
import type {
  Message,
  MessageHandler,
  MessagePort,
  PublishOptions,
  SubscribeOptions,
  Subscription,
} from "./messages.js";
import { mayPublish } from "./roles.js";
import { type EnvelopeContext, STREAMS, type Stream, streamOf } from "./streams.js";

export interface RefusedMessage {
  readonly topic: string;
  readonly entryId: string;
  /** `malformed` is no envelope at all, `not_granted` signed by a key whose role may not publish here. */
  readonly reason: "missing_signature" | "invalid_signature" | "not_granted" | "malformed";
}

export interface SignedMessagesOptions {
  readonly port: MessagePort;
  readonly keys: KeyRing;
  /** Receives what was not signed as it must be; it is acknowledged, for it never will be. Must not throw. */
  readonly onRefused?: (refused: RefusedMessage) => void;
}

export class SignedMessages implements MessagePort {
  readonly #options: SignedMessagesOptions;
  #refused = 0;

  constructor(options: SignedMessagesOptions) {
    this.#options = options;
  }

  /** Messages that were turned away so far. */
  get refused(): number {
    return this.#refused;
  }

  /** Rejects as the port does, and with KasminaError `invalid_argument` for a topic of no known stream. */
  async publish(topic: string, payload: Uint8Array, options?: PublishOptions): Promise<string> {
    const { port, keys } = this.#options;
    const stream = knownStream(topic);
    const signed = stream === "commands" ? payload : signEnvelope(keys, STREAMS[stream].context, payload);
    return port.publish(topic, signed, options);
  }

  async subscribe(
    topic: string,
    group: string,
    handler: MessageHandler,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    const stream = knownStream(topic);
    if (stream === "commands") return this.#options.port.subscribe(topic, group, handler, options);
    const verified: MessageHandler = (message) => this.#verified(stream, message, handler);
    return this.#options.port.subscribe(topic, group, verified, options);
  }

  #verified(stream: Stream, message: Message, handler: MessageHandler): Promise<void> | void {
    const envelope = decodeEnvelope(message.payload);
    const reason = envelope ? this.#problem(STREAMS[stream].context, envelope) : ("malformed" as const);
    if (envelope && reason === undefined) return handler({ ...message, payload: envelope.payload.slice() });
    this.#refused++;
    this.#options.onRefused?.({
      topic: message.topic,
      entryId: message.entryId,
      reason: reason ?? "malformed",
    });
  }

  #problem(context: EnvelopeContext, envelope: EnvelopeParts): RefusedMessage["reason"] | undefined {
    const { keys } = this.#options;
    const granted = mayPublish(keys.find(envelope.keyId)?.role, context);
    return signatureProblem(keys, context, envelope) ?? (granted ? undefined : "not_granted");
  }
}

function knownStream(topic: string): Stream {
  const stream = streamOf(topic);
  if (stream === undefined)
    throw new KasminaError("invalid_argument", `${topic} is the topic of no stream that is signed`);
  return stream;
}
