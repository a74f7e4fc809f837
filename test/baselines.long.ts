/** The telemetry of reference runs is what stands in `baselines/`; `npm run baselines` writes it anew. */
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { TelemetryPacket } from "../src/contracts/index.js";
import { type Backend, openBackend } from "../src/engine/index.js";
import { BASELINES, describeTelemetry, packetsOf } from "./baselines.fixture.js";

const FOLDER = new URL("../baselines/", import.meta.url).pathname;

let backend: Backend;
beforeAll(async () => {
  ({ backend } = await openBackend("wasm"));
});

describe.each(BASELINES)("$name: $about", (baseline) => {
  let packets: readonly TelemetryPacket[];
  beforeAll(async () => {
    packets = await packetsOf(baseline, backend);
  });

  test("its telemetry is that of its baseline", async () => {
    await expect(describeTelemetry(baseline, packets)).toMatchFileSnapshot(
      join(FOLDER, `${baseline.name}.txt`),
    );
  });

  test("one packet a step of the run, and of each seed from its germination until it is retired", () => {
    const normal = packets.filter(({ route }) => route === "normal");
    for (const sender of new Set(normal.map(({ seedId }) => seedId))) {
      const sent = normal.filter(({ seedId }) => seedId === sender);
      const [first, last] = [sent[0]?.step ?? 0, sent.at(-1)?.step ?? 0];
      expect(sent.map(({ step }) => step)).toEqual(sent.map((_, i) => first + i));
      expect(sent.filter(({ retired }) => retired).map(({ step }) => step)).toEqual(
        sent.at(-1)?.retired ? [last] : [],
      );
    }
    expect(packets.at(-1)).toMatchObject({ retired: true });
    expect(packets.at(-1)).not.toHaveProperty("seedId");
  });

  test("what is CRITICAL comes alone, on the emergency route, and nothing else does", () => {
    for (const { route, events, metrics } of packets) {
      const critical = events.filter(({ level }) => level === "CRITICAL");
      expect([critical.length, route]).toEqual(critical.length > 0 ? [1, "emergency"] : [0, "normal"]);
      if (route === "emergency") expect([events.length, metrics.length]).toEqual([1, 0]);
    }
  });
});
