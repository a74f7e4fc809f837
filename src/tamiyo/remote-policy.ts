/** The policy of a run that is decided elsewhere: it knows what may be germinated, so that kernels are prewarmed, and decides nothing. */
import type { Candidate, Decision, Policy } from "./policy.js";

export class RemotePolicy implements Policy {
  readonly version = "remote-1";
  readonly candidates: readonly Candidate[];

  constructor({ blueprints }: { readonly blueprints: readonly Candidate[] }) {
    this.candidates = blueprints;
  }

  decide(): readonly Decision[] {
    return [];
  }

  snapshot(): unknown {
    return null;
  }

  /** There is nothing that it remembers. */
  restore(): void {}
}
