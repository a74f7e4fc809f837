/** The state of a run as the policy sees it, in bytes (proto/kasmina/v1/state.proto). */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { KasminaError } from "../base/errors.js";
import {
  type Estimate as EstimateMessage,
  type SeedState as SeedStateMessage,
  type SlotState as SlotStateMessage,
  SystemStateSchema,
} from "./gen/kasmina/v1/state_pb.js";
import { stageWords } from "./names.js";
import type { Estimate, SeedState, SlotState, SystemState } from "./ports.js";
import type { STATE_SCORES } from "./tasks.js";

const VERSION = 1;

export function encodeState(state: SystemState): Uint8Array {
  const { openBreakers, closedBlueprints, heldOutLoss, seeds, slots, ...rest } = state;
  const message = create(SystemStateSchema, {
    version: VERSION,
    trainingRunId: rest.trainingRunId,
    step: BigInt(rest.step),
    epoch: rest.epoch,
    epochs: rest.epochs,
    trainLoss: rest.trainLoss,
    ...(heldOutLoss && { heldOutLoss }),
    ...scoresOf(rest),
    seeds: seeds.map(seedMessage),
    slots: slots.map(({ seedIds, closedUntilStep, id, shape, depth }) => ({
      slot: { id, shape: [...shape], depth },
      seedIds: [...seedIds],
      ...(closedUntilStep !== undefined && { closedUntilStep: BigInt(closedUntilStep) }),
    })),
    closedBlueprints: Object.entries(closedBlueprints).map(([blueprintId, untilStep]) => ({
      blueprintId,
      untilStep: BigInt(untilStep),
    })),
    openBreakers: [...(openBreakers ?? [])],
    breakersKnown: openBreakers !== undefined,
    paramsHost: BigInt(rest.paramsHost),
    paramsTotal: BigInt(rest.paramsTotal),
    flopsPerStep: rest.flopsPerStep,
    flopsTotal: rest.flopsTotal,
    incarnation: rest.incarnation ?? "",
  });
  return toBinary(SystemStateSchema, message);
}

/** Those that there are. */
function scoresOf(
  from: {
    readonly [S in (typeof STATE_SCORES)[keyof typeof STATE_SCORES]]?: number | undefined;
  },
) {
  const { heldOutAccuracy, heldOutR2, heldOutMicroF1 } = from;
  return {
    ...(heldOutAccuracy !== undefined && { heldOutAccuracy }),
    ...(heldOutR2 !== undefined && { heldOutR2 }),
    ...(heldOutMicroF1 !== undefined && { heldOutMicroF1 }),
  };
}

function seedMessage(seed: SeedState) {
  const { stage, pausedFrom, pending, shadowGain, contribution, parameters, ...rest } = seed;
  return {
    ...rest,
    stage: stageWords.code(stage),
    ...(pausedFrom !== undefined && { pausedFrom: stageWords.code(pausedFrom) }),
    ...(pending && { pending: { change: pending.change, effectiveStep: BigInt(pending.effectiveStep) } }),
    ...(shadowGain && { shadowGain }),
    ...(contribution && { contribution }),
    parameters: BigInt(parameters),
  };
}

/** @throws KasminaError `corrupt` for bytes that are no state of this version */
export function decodeState(bytes: Uint8Array): SystemState {
  try {
    return read(bytes);
  } catch (error) {
    throw new KasminaError("corrupt", "malformed state of a run", { cause: error });
  }
}

function read(bytes: Uint8Array): SystemState {
  const message = fromBinary(SystemStateSchema, bytes);
  if (message.version !== VERSION) throw new KasminaError("corrupt", `version ${message.version}`);
  const { heldOutLoss, incarnation } = message;
  return {
    trainingRunId: message.trainingRunId,
    ...(incarnation !== "" && { incarnation }),
    step: Number(message.step),
    epoch: message.epoch,
    epochs: message.epochs,
    trainLoss: message.trainLoss,
    ...(heldOutLoss && { heldOutLoss: estimateOf(heldOutLoss) }),
    ...scoresOf(message),
    seeds: message.seeds.map(seedOf),
    slots: message.slots.map(slotOf),
    closedBlueprints: Object.fromEntries(
      message.closedBlueprints.map(({ blueprintId, untilStep }) => [blueprintId, Number(untilStep)]),
    ),
    ...(message.breakersKnown && { openBreakers: message.openBreakers }),
    paramsHost: Number(message.paramsHost),
    paramsTotal: Number(message.paramsTotal),
    flopsPerStep: message.flopsPerStep,
    flopsTotal: message.flopsTotal,
  };
}

function seedOf(seed: SeedStateMessage): SeedState {
  const stage = stageWords.word(seed.stage);
  if (stage === undefined) throw new KasminaError("corrupt", `stage ${seed.stage}`);
  const pausedFrom = seed.pausedFrom === 0 ? undefined : stageWords.word(seed.pausedFrom);
  const { id, slotId, blueprintId, alpha, rampDone, pending, shadowGain, contribution, parameters } = seed;
  return {
    ...{ id, slotId, blueprintId, stage, alpha, rampDone },
    ...(pausedFrom !== undefined && { pausedFrom }),
    ...(pending && { pending: { change: pending.change, effectiveStep: Number(pending.effectiveStep) } }),
    ...(shadowGain && { shadowGain: estimateOf(shadowGain) }),
    ...(contribution && { contribution: estimateOf(contribution) }),
    parameters: Number(parameters),
  };
}

function slotOf({ slot, seedIds, closedUntilStep }: SlotStateMessage): SlotState {
  if (!slot) throw new KasminaError("corrupt", "a slot without its place");
  return {
    ...{ id: slot.id, shape: slot.shape, depth: slot.depth, seedIds },
    ...(closedUntilStep !== undefined && { closedUntilStep: Number(closedUntilStep) }),
  };
}

function estimateOf({ value, stdErr }: EstimateMessage): Estimate {
  return { value, stdErr };
}
