import { describe, expect, test } from "vitest";
import { Random } from "../base/random.js";
import { AUGMENTATIONS, type Augmentation, Augmenter } from "./augment.js";
import { datasetFromArrays, OrderedBatches, ShuffledBatches } from "./index.js";

const HEIGHT = 8;
const WIDTH = 16;
/** Two channels: the row, and the column, both from 1. */
const ORIGINAL = Float32Array.from({ length: HEIGHT * WIDTH * 2 }, (_, i) =>
  i % 2 === 0 ? Math.floor(i / 2 / WIDTH) + 1 : (Math.floor(i / 2) % WIDTH) + 1,
);

function changed(augmentations: readonly Augmentation[], seed: number): Float32Array {
  const image = ORIGINAL.slice();
  new Augmenter([HEIGHT, WIDTH, 2], augmentations).apply(image, new Random(seed));
  return image;
}

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

describe("an image", () => {
  test("that is flipped is itself or its mirror image, each about half the time", () => {
    const mirrored = ORIGINAL.map((value, i) => (i % 2 === 0 ? value : WIDTH + 1 - value));
    const all = SEEDS.map((seed) => changed(["flip"], seed).join());
    const flipped = all.filter((one) => one === mirrored.join()).length;
    expect(all.filter((one) => one === ORIGINAL.join()).length + flipped).toBe(SEEDS.length);
    expect(flipped).toBeGreaterThan(10);
    expect(flipped).toBeLessThan(30);
  });

  test("that is shifted has its pixels as they were, and 0 where it came from, at most an eighth away", () => {
    const moves = SEEDS.map((seed) => {
      const image = changed(["shift"], seed);
      const middle = 2 * (4 * WIDTH + 8);
      const [down, right] = [5 - (image[middle] ?? 0), 9 - (image[middle + 1] ?? 0)];
      for (let y = 0; y < HEIGHT; y++)
        for (let x = 0; x < WIDTH; x++) {
          const [row, column] = [y - down, x - right];
          const inside = row >= 0 && row < HEIGHT && column >= 0 && column < WIDTH;
          const at = 2 * (y * WIDTH + x);
          expect([...image.subarray(at, at + 2)]).toEqual(inside ? [row + 1, column + 1] : [0, 0]);
        }
      return `${down},${right}`;
    });
    expect(new Set(moves).size).toBeGreaterThan(8);
    expect(moves.every((move) => /^-?[01],-?[012]$/.test(move))).toBe(true);
  });

  test("that is cropped shows four fifths of its sides or more, in equal steps", () => {
    for (const seed of SEEDS) {
      const image = changed(["crop"], seed);
      const columns = Array.from({ length: WIDTH }, (_, x) => image[2 * x + 1] ?? 0);
      const rows = Array.from({ length: HEIGHT }, (_, y) => image[2 * y * WIDTH] ?? 0);
      for (const [line, size] of [
        [columns, WIDTH],
        [rows, HEIGHT],
      ] as const) {
        const step = ((line.at(-1) ?? 0) - (line[0] ?? 0)) / (size - 1);
        expect(step).toBeGreaterThan(0.8 - 1e-6);
        expect(step).toBeLessThanOrEqual(1);
        line.forEach((value, i) => {
          expect(value).toBeCloseTo((line[0] ?? 0) + i * step, 4);
        });
        expect(Math.min(...line)).toBeGreaterThanOrEqual(1);
        expect(Math.max(...line)).toBeLessThanOrEqual(size);
      }
    }
  });
});

describe("batches", () => {
  const rows = {
    inputs: Uint8Array.from({ length: 20 * 64 }, (_, i) => (i * 37) % 251),
    labels: Int32Array.from({ length: 20 }, (_, i) => i),
  };
  const data = datasetFromArrays({
    inputShape: [8, 8, 1],
    classes: 20,
    train: rows,
    heldOut: rows,
    test: rows,
  });
  const augmented = () => new ShuffledBatches(data, { batch: 5, seed: 7, augment: AUGMENTATIONS });
  const inputsAt = (batches: ShuffledBatches, step: number): number[] => [...batches.at(step).inputs.data];

  test("are the same from any step on, in the same order of rows as unchanged ones", () => {
    const whole = augmented();
    const all = Array.from({ length: 12 }, (_, step) => inputsAt(whole, step));
    for (const step of [11, 3, 8, 0]) expect(inputsAt(augmented(), step)).toEqual(all[step]);
    const plain = new ShuffledBatches(data, { batch: 5, seed: 7 });
    for (let step = 0; step < 12; step++) {
      expect([...whole.at(step).labels.data]).toEqual([...plain.at(step).labels.data]);
      expect(inputsAt(plain, step)).not.toEqual(all[step]);
    }
    // What is computed of a row is kept by nobody.
    expect(whole.rows).toBeUndefined();
    expect(whole.at(0).rows).toBeUndefined();
  });

  test("show a row in another way in each epoch, and none that is evaluated", () => {
    const batches = augmented();
    const views = Array.from({ length: 3 }, (_, epoch) => {
      for (let step = epoch * 4; ; step++) {
        const { inputs, labels } = batches.at(step);
        const place = [...labels.data].indexOf(0);
        if (place >= 0) return inputs.data.slice(place * 64, (place + 1) * 64).join();
      }
    });
    expect(new Set(views).size).toBe(3);
    const [first] = [...new OrderedBatches(data.test, data.inputShape, 20).batches()];
    expect(first?.inputs.data).toEqual(Float32Array.from(rows.inputs, (value) => value * (1 / 255)));
  });
});
