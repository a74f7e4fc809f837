/**
 * What a key may be used for (docs/security.md, "Keys and roles"). A message is trusted no further than the role of its key; a key
 * without a role, such as a run makes for its folder, is its owner's and may do everything.
 */
import type { CommandKind } from "./names.js";
import type { EnvelopeContext } from "./streams.js";

export const KEY_ROLES = ["operator", "policy", "safety", "kernel", "trainer"] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

/** The commands that each role may sign. */
const COMMANDS: { readonly [R in KeyRole]: readonly CommandKind[] } = {
  operator: ["SEED", "ROLLBACK", "OPTIMIZER", "CIRCUIT_BREAKER", "PAUSE", "EMERGENCY", "RESET"],
  policy: ["SEED"],
  safety: ["EMERGENCY"],
  kernel: [],
  trainer: [],
};

/** The other streams that each role may publish to. */
const MESSAGES: { readonly [R in KeyRole]: readonly EnvelopeContext[] } = {
  operator: [],
  policy: [],
  safety: [],
  kernel: ["kasmina.kernel_ready.v1", "kasmina.kernel_error.v1"],
  trainer: ["kasmina.state.v1", "kasmina.outcome.v1", "kasmina.telemetry.v1", "kasmina.kernel_request.v1"],
};

/** Whether a key of this role may sign a command of this kind. */
export function mayOrder(role: KeyRole | undefined, kind: CommandKind): boolean {
  return role === undefined || COMMANDS[role].includes(kind);
}

/** Whether a key of this role may sign any command. */
export function mayCommand(role: KeyRole | undefined): boolean {
  return role === undefined || COMMANDS[role].length > 0;
}

/** Whether a key of this role may vouch for kernels in a catalog: whoever builds them, and the operator. */
export function maySignArtifacts(role: KeyRole | undefined): boolean {
  return role === undefined || role === "kernel" || role === "operator";
}

/** Whether a key of this role may sign messages of this stream; of commands, {@link mayOrder} decides. */
export function mayPublish(role: KeyRole | undefined, context: EnvelopeContext): boolean {
  return role === undefined || MESSAGES[role].includes(context);
}
