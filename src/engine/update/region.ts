/**
 * Regions: where what an update takes lies in WebAssembly memory. A region holds some parameters end to end, in rows below them
 * each slot of their optimizer state, and a last row that their gradients are written to. A memory never grows, which would
 * detach every array over it: what is new gets a memory of its own.
 */
import { KasminaError } from "../../base/errors.js";
import { sizeOf } from "../../contracts/tensor.js";
import type { Entry, MemoryState, Region } from "../memory-state.js";

/** Paths of one region: of the parameters, and of each slot of theirs in the same order. */
export interface RegionPaths {
  readonly parameters: readonly string[];
  /** One list a slot of the rule. */
  readonly slots: readonly (readonly string[])[];
}

const PAGE_BYTES = 65_536;
const MAX_PAGES = 65_536;
/** Rows begin at whole vectors. */
const ALIGNMENT_BYTES = 16;

/**
 * The regions of `wanted`; what does not lie so is moved, once, when a program that updates it is new. Regions of one parameter
 * share a memory, others have their own: they are laid out anew whenever a parameter comes or goes.
 */
export function regionsOf(state: MemoryState, wanted: readonly RegionPaths[]): Region[] {
  const rowsOf = ({ parameters, slots }: RegionPaths) =>
    [parameters, ...slots].map((paths) => paths.map((path) => state.get(path)));
  const plans = wanted.map((paths) => ({ paths, entries: rowsOf(paths), region: existing(rowsOf(paths)) }));
  const missing = plans.filter(({ region }) => !region);
  if (missing.length === 0) return plans.flatMap(({ region }) => region ?? []);
  for (const plan of missing) for (const path of plan.paths.parameters) checkFloat(state, path);
  for (const group of sharing(missing)) {
    const memory = newMemory(group.reduce((sum, { entries }) => sum + bytesOf(entries), 0));
    let address = 0;
    for (const plan of group) {
      plan.region = layOut(memory, address, plan.entries);
      address += bytesOf(plan.entries);
    }
  }
  state.moved();
  return plans.flatMap(({ region }) => region ?? []);
}

function checkFloat(state: MemoryState, path: string): void {
  const { dtype } = state.get(path).spec;
  if (dtype !== "float32") throw new KasminaError("engine", `${path} cannot be updated: it is ${dtype}`);
}

/** The region in which exactly these entries lie in this order. */
function existing(rows: readonly (readonly Entry[])[]): Region | undefined {
  const region = rows[0]?.[0]?.region;
  const isSame =
    region?.rows.length === rows.length &&
    rows.every((entries, r) => {
      const known = region.rows[r]?.entries ?? [];
      return (
        known.length === entries.length &&
        entries.every((entry, i) => entry === known[i] && entry.region === region)
      );
    });
  return isSame ? region : undefined;
}

interface Plan {
  readonly entries: readonly (readonly Entry[])[];
}

/** What shares a memory: all regions of one parameter, as many as fit. */
function sharing<P extends Plan>(plans: readonly P[]): P[][] {
  const isAlone = ({ entries }: Plan) => entries[0]?.length === 1;
  const groups: P[][] = plans.filter((plan) => !isAlone(plan)).map((plan) => [plan]);
  let bytes = Number.POSITIVE_INFINITY;
  for (const plan of plans.filter(isAlone)) {
    bytes += bytesOf(plan.entries);
    if (bytes > MAX_PAGES * PAGE_BYTES) {
      groups.push([]);
      bytes = bytesOf(plan.entries);
    }
    groups.at(-1)?.push(plan);
  }
  return groups;
}

function newMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / PAGE_BYTES);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (error) {
    throw new KasminaError("engine", `no memory for ${bytes} bytes of parameters and optimizer state`, {
      cause: error,
    });
  }
}

function layOut(memory: WebAssembly.Memory, start: number, entries: readonly (readonly Entry[])[]): Region {
  const size = elementsOf(entries);
  const rowBytes = rowBytesOf(size);
  const rowAt = (r: number) => new Float32Array(memory.buffer as ArrayBuffer, start + r * rowBytes, size);
  const region: Region = {
    memory,
    rows: entries.map((row, r) => ({ entries: row, data: rowAt(r) })),
    gradients: rowAt(entries.length),
  };
  for (const { entries: row, data } of region.rows) moveInto(region, row, data);
  return region;
}

function moveInto(region: Region, entries: readonly Entry[], data: Float32Array<ArrayBuffer>): void {
  let offset = 0;
  for (const entry of entries) {
    const place = data.subarray(offset, offset + entry.data.length);
    place.set(entry.data as Float32Array);
    entry.data = place;
    entry.region = region;
    offset += place.length;
  }
}

function elementsOf([parameters = []]: readonly (readonly Entry[])[]): number {
  return parameters.reduce((sum, { spec }) => sum + sizeOf(spec.shape), 0);
}

function rowBytesOf(elements: number): number {
  return Math.ceil((elements * Float32Array.BYTES_PER_ELEMENT) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
}

/** Of the whole region, the row of gradients included. */
function bytesOf(entries: readonly (readonly Entry[])[]): number {
  return (entries.length + 1) * rowBytesOf(elementsOf(entries));
}
