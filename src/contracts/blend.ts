/** How a seed is blended into its slot, as plain data (docs/architecture.md, "Blending"), and its form on the wire. */
import { create } from "@bufbuild/protobuf";
import { type BlendConfig as BlendConfigProto, BlendConfigSchema } from "./gen/kasmina/v1/blend_pb.js";
import { type BlendCurve, type BlendMode, blendCurveWords, blendModeWords } from "./names.js";

export interface BlendSchedule {
  /** Optimizer steps from alpha 0 to the target; a whole number, 0 or more. Default 20. */
  readonly steps: number;
  /** Default sigmoid. */
  readonly curve: BlendCurve;
}

export interface BlendConfig {
  readonly mode: BlendMode;
  /** The alpha that the ramp ends at, 0 to 1. */
  readonly alphaTarget: number;
  readonly schedule: BlendSchedule;
  /** CHANNEL: one weight a channel or group, each 0 to 1, at most 64; else empty. */
  readonly alphaVec: readonly number[];
  /** CONFIDENCE: slope of the gate. Default 4. */
  readonly gateK: number;
  /** CONFIDENCE: margin at which the gate is half open. Default 0.2. */
  readonly gateTau: number;
  /** CONFIDENCE: bounds of the effective alpha. Default 0 and 1. */
  readonly alphaLo: number;
  readonly alphaHi: number;
  /** CONFIDENCE: 2 to 256 logits of the policy's decision; else empty. */
  readonly confidenceLogits: readonly number[];
}

/** What holds where a command brings no blend configuration. */
export const DEFAULT_BLEND: BlendConfig = {
  mode: "CONVEX",
  alphaTarget: 1,
  schedule: { steps: 20, curve: "sigmoid" },
  alphaVec: [],
  gateK: 4,
  gateTau: 0.2,
  alphaLo: 0,
  alphaHi: 1,
  confidenceLogits: [],
};

export function blendToProto(blend: BlendConfig): BlendConfigProto {
  return create(BlendConfigSchema, {
    mode: blendModeWords.code(blend.mode),
    alphaTarget: blend.alphaTarget,
    schedule: { steps: blend.schedule.steps, curve: blendCurveWords.code(blend.schedule.curve) },
    alphaVec: [...blend.alphaVec],
    gateK: blend.gateK,
    gateTau: blend.gateTau,
    alphaLo: blend.alphaLo,
    alphaHi: blend.alphaHi,
    confidenceLogits: [...blend.confidenceLogits],
  });
}

/** The plain form, or the name of the field whose number is none of ours. Values are not judged here. */
export function blendFromProto(
  proto: BlendConfigProto,
): { readonly blend: BlendConfig } | { readonly field: string } {
  const mode = blendModeWords.word(proto.mode);
  if (mode === undefined) return { field: "mode" };
  if (proto.schedule === undefined) return { field: "schedule" };
  const curve = blendCurveWords.word(proto.schedule.curve);
  if (curve === undefined) return { field: "schedule.curve" };
  return {
    blend: {
      mode,
      alphaTarget: proto.alphaTarget,
      schedule: { steps: proto.schedule.steps, curve },
      alphaVec: proto.alphaVec,
      gateK: proto.gateK,
      gateTau: proto.gateTau,
      alphaLo: proto.alphaLo,
      alphaHi: proto.alphaHi,
      confidenceLogits: proto.confidenceLogits,
    },
  };
}
