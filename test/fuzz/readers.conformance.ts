import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "vitest";
import { fuzz } from "./fuzz.js";
import { TARGETS } from "./targets.js";

export function describeReaders(inputs: number, seed: number): void {
  describe(`${inputs} damaged inputs are read or refused, in bounded time and memory`, () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), "kasmina-fuzz-"));
    });
    afterEach(() => rm(folder, { recursive: true }));

    test.each(TARGETS.map((target) => [target.name, target] as const))(
      "%s",
      async (_, target) => {
        await fuzz(target, folder, inputs, seed);
      },
      86_400_000,
    );
  });
}
