/** Images changed a little each time that they are learned from: what they show stays, so that a network does not learn them by heart. */
import type { Random } from "../base/random.js";

/**
 * `flip`: mirrored left to right, every second time. `crop`: a part of 80 to 100 % of height and width, scaled to the whole (bilinear).
 * `shift`: moved by up to an eighth of height and width; what comes in is 0.
 */
export const AUGMENTATIONS = ["flip", "crop", "shift"] as const;

export type Augmentation = (typeof AUGMENTATIONS)[number];

const CROP_MIN = 0.8;
const SHIFT_MAX = 1 / 8;

/** Where a pixel of the changed image comes from: row and column of the image as it was, between its pixels too. */
interface View {
  readonly top: number;
  readonly left: number;
  readonly scale: number;
  readonly mirrored: boolean;
  readonly down: number;
  readonly right: number;
}

/** Changes images of one shape in place. */
export class Augmenter {
  readonly #shape: readonly [height: number, width: number, channels: number];
  readonly #chosen: ReadonlySet<Augmentation>;
  readonly #before: Float32Array;

  /** @param shape [height, width, channels] */
  constructor(
    [height = 1, width = 1, channels = 1]: readonly number[],
    augmentations: readonly Augmentation[],
  ) {
    this.#shape = [height, width, channels];
    this.#chosen = new Set(augmentations);
    this.#before = new Float32Array(height * width * channels);
  }

  /** @param random of this image in this epoch alone: the same draws give the same change */
  apply(image: Float32Array, random: Random): void {
    const [height, width, channels] = this.#shape;
    const view = this.#draw(random);
    this.#before.set(image);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const row = y - view.down;
        const moved = x - view.right;
        const column = view.mirrored ? width - 1 - moved : moved;
        const to = (y * width + x) * channels;
        if (row < 0 || row >= height || column < 0 || column >= width) image.fill(0, to, to + channels);
        else this.#sample(view.top + row * view.scale, view.left + column * view.scale, image, to);
      }
    }
  }

  #draw(random: Random): View {
    const [height, width] = this.#shape;
    const scale = this.#chosen.has("crop") ? CROP_MIN + (1 - CROP_MIN) * random.uniform() : 1;
    const mirrored = this.#chosen.has("flip") && random.below(2) === 1;
    const upTo = (size: number): number => {
      const most = this.#chosen.has("shift") ? Math.floor(size * SHIFT_MAX) : 0;
      return random.below(2 * most + 1) - most;
    };
    return {
      scale,
      mirrored,
      top: (1 - scale) * (height - 1) * random.uniform(),
      left: (1 - scale) * (width - 1) * random.uniform(),
      down: upTo(height),
      right: upTo(width),
    };
  }

  /** One pixel, between the four around it; exactly the one that is there where it lies on it. */
  #sample(row: number, column: number, image: Float32Array, to: number): void {
    const [height, width, channels] = this.#shape;
    const [y, x] = [Math.floor(row), Math.floor(column)];
    const [below, aside] = [Math.min(y + 1, height - 1), Math.min(x + 1, width - 1)];
    const [dy, dx] = [row - y, column - x];
    for (let channel = 0; channel < channels; channel++) {
      const at = (r: number, c: number): number => this.#before[(r * width + c) * channels + channel] ?? 0;
      const above = at(y, x) * (1 - dx) + at(y, aside) * dx;
      image[to + channel] = above * (1 - dy) + (at(below, x) * (1 - dx) + at(below, aside) * dx) * dy;
    }
  }
}
