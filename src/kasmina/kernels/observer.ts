/** What the kernel machinery tells about itself; whoever runs it makes packets of this. */
import type { Attributes, EventName, TelemetryLevel } from "../../contracts/index.js";

export interface KernelEvent {
  readonly name: EventName;
  readonly level: TelemetryLevel;
  readonly atMs: number;
  readonly trainingRunId: string;
  /** Left out: no one seed's. */
  readonly seedId?: string;
  /** Ids among them again, for those who see attributes only. */
  readonly attributes: Attributes;
}

/** Must not throw. */
export type KernelObserver = (event: KernelEvent) => void;
