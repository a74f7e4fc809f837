/** Damages bytes as disks, networks and attackers do, and JSON where its structure is still whole. */
import type { Random } from "../../src/base/index.js";

const EXTREMES = [0, 1, 0x7f, 0x80, 0xff];

/** What stands where something else belongs. */
const STRANGE: readonly unknown[] = [
  null,
  true,
  "",
  "__proto__",
  "constructor",
  "\u0000\u001b[2J",
  "../../../etc/passwd",
  "\ud800",
  "x".repeat(5_000),
  -1,
  0.5,
  2 ** 31,
  2 ** 53,
  -(2 ** 63),
  1e308,
  [],
  {},
  [[[[[[]]]]]],
  Array.from({ length: 500 }, (_, i) => i),
  { constructor: { prototype: 1 } },
];

function pick<T>(random: Random, values: readonly T[]): T {
  return values[random.below(values.length)] as T;
}

/** One to four damages of one of the samples. */
export function damaged(random: Random, samples: readonly Uint8Array[], isJson: boolean): Uint8Array {
  let bytes = pick(random, samples);
  for (let times = 1 + random.below(4); times > 0; times--) {
    const changed = isJson && random.below(2) === 0 ? changedJson(random, bytes) : undefined;
    bytes = changed ?? changedBytes(random, bytes, samples);
  }
  return bytes;
}

function changedBytes(random: Random, bytes: Uint8Array, samples: readonly Uint8Array[]): Uint8Array {
  const at = random.below(bytes.length + 1);
  const length = random.below(Math.min(64, bytes.length - at) + 1);
  const splice = (middle: Uint8Array, end = at + length) =>
    Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(end)]);
  switch (random.below(8)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return splice(new Uint8Array());
    case 2:
      return splice(bytes.subarray(at, at + length), at);
    case 3:
      return splice(Uint8Array.from({ length: random.below(16) }, () => random.below(256)));
    case 4: {
      const other = pick(random, samples);
      const from = random.below(other.length + 1);
      return splice(other.subarray(from, from + random.below(256)));
    }
    case 5:
      return splice(new Uint8Array(random.below(9)).fill(pick(random, EXTREMES)));
    default: {
      const copy = Uint8Array.from(bytes);
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      return copy;
    }
  }
}

/** One value within the JSON, of one line of it where there are several, taken away, repeated or made strange. */
function changedJson(random: Random, bytes: Uint8Array): Uint8Array | undefined {
  const lines = Buffer.from(bytes).toString().split("\n");
  const at = random.below(lines.length);
  const line = lines[at]?.trim() ? at : 0;
  const value = parsed(lines[line] ?? "") ?? parsed(lines.join("\n"));
  if (typeof value !== "object" || value === null) return undefined;
  change(random, value as Record<string, unknown>);
  const text = JSON.stringify(value);
  const whole = parsed(lines[line] ?? "") === undefined ? text : lines.with(line, text).join("\n");
  return new TextEncoder().encode(whole);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function change(random: Random, within: Record<string, unknown>): void {
  const names = Object.keys(within);
  if (names.length === 0) {
    if (!Array.isArray(within)) within.added = pick(random, STRANGE);
    return;
  }
  const name = pick(random, names);
  const value = within[name];
  if (typeof value === "object" && value !== null && random.below(4) !== 0) {
    change(random, value as Record<string, unknown>);
    return;
  }
  const kind = random.below(4);
  if (kind === 0 && !Array.isArray(within)) delete within[name];
  else if (kind === 1) within[name] = within[pick(random, names)];
  else within[name] = pick(random, STRANGE);
}
