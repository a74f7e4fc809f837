/** What the trainer and the process that traces for it say to each other: plain data. */

import type { BlueprintParameters } from "../../contracts/index.js";
import type { LoweringTarget, TracedProgram } from "../../engine/index.js";
import type { SeedSite, Topology } from "../../network/index.js";
import type { OptimizerId } from "../optimizers.js";
import type { TracedTopology, TracingOptions } from "./tracer.js";

/** An export of a module that another process can import: the value itself, or what the function gives for `args`. */
export interface ModuleSource {
  /** URL of the module. */
  readonly module: string;
  readonly name: string;
  /** Plain data; left out where the export is the value. */
  readonly args?: readonly unknown[];
}

/** What a tracing process is sent first. */
export interface TracingStart {
  /** What programs are lowered for. */
  readonly target: LoweringTarget;
  readonly host: ModuleSource;
  /** Beside the ones that come with Kasmina. */
  readonly blueprints: readonly ModuleSource[];
}

export interface PlainSite extends Omit<SeedSite, "blueprint" | "parameters"> {
  readonly blueprintId: string;
  readonly parameters: BlueprintParameters;
}

export interface TracingRequest extends Omit<TracingOptions, "optimizer"> {
  readonly sites: readonly PlainSite[];
  readonly hostGradient: Topology["hostGradient"];
  readonly loss: Topology["loss"] | undefined;
  readonly clipNorm: number | undefined;
  readonly optimizer: OptimizerId;
}

/** A traced and lowered program without its definition, which holds functions. */
export interface PlainProgram extends Omit<TracedProgram, "definition" | "ir"> {
  /** Serialized by V8: thousands of objects, which the trainer's thread reads only where a run fails. */
  readonly ir: Uint8Array;
}

export type TracingAnswer =
  | { readonly programs: TracedTopology<PlainProgram> }
  | { readonly problem: string };

/** Its fields always in the same order: equal sites are equal as JSON. */
export function plainSite({ seedId, slotId, blueprint, parameters, part }: SeedSite): PlainSite {
  return { seedId, slotId, blueprintId: blueprint.id, parameters, part };
}
