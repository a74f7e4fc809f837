/** Packets for tests of what shows them. */
import type { TelemetryPacket } from "../../contracts/index.js";

export const RUN = "run-1";

export function packetOf(said: Partial<TelemetryPacket> = {}): TelemetryPacket {
  return {
    trainingRunId: RUN,
    source: "kasmina",
    step: 7,
    epoch: 1,
    atMs: 1_700_000_000_000,
    level: "INFO",
    priority: "LOW",
    route: "normal",
    events: [],
    metrics: [],
    retired: false,
    ...said,
  };
}
