/** Signs commands. Whoever may change a model holds one: the policy, the operator's command line. */
import { toBinary } from "@bufbuild/protobuf";
import type { Clock } from "../base/clock.js";
import { buildCommand, type CommandDraft, NONCE_BYTES } from "./commands.js";
import { COMMAND_CONTEXT, signEnvelope } from "./envelope.js";
import { AdaptationCommandSchema } from "./gen/kasmina/v1/command_pb.js";
import type { KeyRing } from "./key-ring.js";

/** 16 bytes from the platform's cryptographic generator. */
function randomNonce(): Uint8Array {
  return globalThis.crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
}

export interface CommandSignerOptions {
  readonly keys: KeyRing;
  readonly clock: Clock;
  /** Default {@link randomNonce}. A nonce used twice makes the second command a replay. */
  readonly nonce?: () => Uint8Array;
}

export class CommandSigner {
  readonly #keys: KeyRing;
  readonly #clock: Clock;
  readonly #nonce: () => Uint8Array;

  constructor({ keys, clock, nonce = randomNonce }: CommandSignerOptions) {
    this.#keys = keys;
    this.#clock = clock;
    this.#nonce = nonce;
  }

  /** A serialized SignedEnvelope over the command, dated now, with a fresh nonce. */
  sign(draft: CommandDraft): Uint8Array {
    const command = buildCommand(draft, this.#clock.nowMs(), this.#nonce());
    return signEnvelope(this.#keys, COMMAND_CONTEXT, toBinary(AdaptationCommandSchema, command));
  }
}
