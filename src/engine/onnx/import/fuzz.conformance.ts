/** Damaged files: bytes changed, cut out, doubled and moved. Each is one clear error, or a model. */
import { expect, test } from "vitest";
import { KasminaError } from "../../../base/errors.js";
import { Random } from "../../../base/random.js";
import { ImportedModel } from "./imported-model.js";
import { fixture } from "./imported-models.fixture.js";

const SOURCES = ["mlp-bn", "bert", "lstm", "resnet18-folded"];

/** Mostly the front of the file, where the structure is: the rest is weights. */
function damage(bytes: Uint8Array, random: Random): Uint8Array {
  const at = () => Math.floor(random.uniform() ** 2 * bytes.length);
  const out = bytes.slice();
  switch (Math.floor(random.uniform() * 5)) {
    case 0:
      return out.subarray(0, at());
    case 1: {
      const [from, length] = [at(), 1 + Math.floor(random.uniform() * 32)];
      return Uint8Array.from([...out.subarray(0, from), ...out.subarray(from + length)]);
    }
    case 2: {
      const [from, to, length] = [at(), at(), 1 + Math.floor(random.uniform() * 64)];
      out.copyWithin(to, from, from + length);
      return out;
    }
    case 3:
      out[at()] = [0, 1, 0x7f, 0x80, 0xff][Math.floor(random.uniform() * 5)] ?? 0;
      return out;
    default:
      for (let i = 0; i < 1 + random.uniform() * 8; i++) out[at()] = Math.floor(random.uniform() * 256);
      return out;
  }
}

/** Declares the test: `files` damaged files of each kind of model, from one seed. */
export function describeDamagedModels(files: number, seed: number): void {
  test(`${files} damaged models are errors of one line, or models`, () => {
    const random = new Random(seed);
    const sources = SOURCES.map(fixture);
    let refused = 0;
    for (let i = 0; i < files; i++) {
      const source = sources[i % sources.length] ?? new Uint8Array(0);
      try {
        new ImportedModel(damage(source, random));
      } catch (error) {
        refused++;
        if (!(error instanceof KasminaError) || error.message.includes("\n")) {
          throw new Error(`file ${i} of seed ${seed}: ${String(error)}`, { cause: error });
        }
      }
    }
    // The damage is real, and not every damage is fatal.
    expect(refused).toBeGreaterThan(files / 10);
    expect(refused).toBeLessThan(files);
  });
}
