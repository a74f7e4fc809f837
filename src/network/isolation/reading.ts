/** Reads what the monitor's programs gave, in float64, and judges it. */
import type { IsolationReading, Tensor } from "../../contracts/index.js";
import { isBelow, isolatedSites, type SeedSite, type Topology } from "../topology.js";
import type { CoordinateSample } from "./sample.js";

type Outputs = Readonly<Record<string, Tensor>>;

/** Whether the probe's two gradients are the same to the last bit (NaN being equal to NaN). */
export function isClean(probe: Outputs): boolean {
  const [left, right] = [valuesOf(probe, "with"), valuesOf(probe, "without")];
  return left.length === right.length && left.every((value, i) => Object.is(value + 0, (right[i] ?? 0) + 0));
}

/** The readings of a clean probe: 0 for every isolated seed. */
export function cleanReadings(topology: Topology): IsolationReading[] {
  return isolatedSites(topology).map(({ seedId }) => ({ seedId, leakRatio: 0, cosine: 0 }));
}

/** The readings of an inquiry, one for each isolated seed. */
export function readInquiry(
  topology: Topology,
  sample: CoordinateSample,
  inquiry: Outputs,
): IsolationReading[] {
  return isolatedSites(topology).map((site) => {
    const positions = positionsBelow(topology, site, sample);
    const at = (name: string): number[] => {
      const values = valuesOf(inquiry, name);
      return positions.map((position) => values[position] ?? Number.NaN);
    };
    const leak = difference(at("with"), at(`without/${site.seedId}`));
    const branch = difference(at(`open/${site.seedId}`), at(`closed/${site.seedId}`));
    const size = norm(leak);
    if (size === 0) return { seedId: site.seedId, leakRatio: 0, cosine: 0 };
    const cosine = dot(leak, branch) / (size * norm(branch));
    return {
      seedId: site.seedId,
      leakRatio: size / norm(at("reference")),
      cosine: norm(branch) === 0 ? 0 : cosine,
    };
  });
}

/** Positions in the sample that belong to parameters below a seed. */
function positionsBelow(topology: Topology, site: SeedSite, sample: CoordinateSample): number[] {
  let start = 0;
  const positions: number[] = [];
  for (const { path, indices } of sample) {
    if (isBelow(topology, site, path)) indices.forEach((_, i) => void positions.push(start + i));
    start += indices.length;
  }
  return positions;
}

function valuesOf(outputs: Outputs, name: string): number[] {
  return [...(outputs[name]?.data ?? [])];
}

/** Coordinate by coordinate; equal values, NaN and infinities among them, differ by 0. */
function difference(left: readonly number[], right: readonly number[]): number[] {
  return left.map((value, i) => {
    const other = right[i] ?? Number.NaN;
    return Object.is(value, other) ? 0 : value - other;
  });
}

function dot(left: readonly number[], right: readonly number[]): number {
  return left.reduce((sum, value, i) => sum + value * (right[i] ?? 0), 0);
}

function norm(values: readonly number[]): number {
  return Math.sqrt(dot(values, values));
}
