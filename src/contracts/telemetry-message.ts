/** Telemetry packets and outcomes in bytes (proto/kasmina/v1/telemetry.proto, command.proto). */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { KasminaError } from "../base/errors.js";
import { CommandOutcomeSchema } from "./gen/kasmina/v1/command_pb.js";
import {
  type AttributeValue as AttributeMessage,
  type TelemetryEvent as EventMessage,
  TelemetryPacketSchema,
} from "./gen/kasmina/v1/telemetry_pb.js";
import { levelWords, outcomeWords, priorityWords, routeWords } from "./names.js";
import type { CommandOutcome } from "./ports.js";
import {
  type AttributeValue,
  EVENT_NAMES,
  type EventName,
  METRIC_NAMES,
  type MetricName,
  type TelemetryEvent,
  type TelemetryMetric,
  type TelemetryPacket,
} from "./telemetry.js";

const VERSION = 1;

export function encodeTelemetry(packet: TelemetryPacket): Uint8Array {
  const { level, priority, route, events, metrics, atMs, step, seedId, ...rest } = packet;
  const message = create(TelemetryPacketSchema, {
    ...rest,
    version: VERSION,
    seedId: seedId ?? "",
    step: BigInt(step),
    issuedAt: timestampFromMs(atMs),
    level: levelWords.code(level),
    priority: priorityWords.code(priority),
    route: routeWords.code(route),
    events: events.map(({ name, level: severity, atMs: occurredMs, attributes }) => ({
      name,
      level: levelWords.code(severity),
      occurredAt: timestampFromMs(occurredMs),
      attributes: Object.fromEntries(
        Object.entries(attributes).map(([key, value]) => [key, attributeMessage(value)]),
      ),
    })),
    metrics: metrics.map(({ name, value, labels }) => ({ name, value, labels: { ...labels } })),
  });
  return toBinary(TelemetryPacketSchema, message);
}

function attributeMessage(value: AttributeValue): { kind: AttributeMessage["kind"] } {
  if (typeof value === "string") return { kind: { case: "text", value } };
  return typeof value === "number" ? { kind: { case: "number", value } } : { kind: { case: "flag", value } };
}

/** @throws KasminaError `corrupt` for bytes that are no packet of this version, or name an unknown event or level */
export function decodeTelemetry(bytes: Uint8Array): TelemetryPacket {
  try {
    return readPacket(bytes);
  } catch (error) {
    throw new KasminaError("corrupt", "malformed telemetry packet", { cause: error });
  }
}

function readPacket(bytes: Uint8Array): TelemetryPacket {
  const message = fromBinary(TelemetryPacketSchema, bytes);
  if (message.version !== VERSION) throw new KasminaError("corrupt", `version ${message.version}`);
  const { trainingRunId, source, seedId, epoch, issuedAt, retired } = message;
  return {
    ...{ trainingRunId, source, epoch, retired },
    ...(seedId !== "" && { seedId }),
    step: Number(message.step),
    atMs: issuedAt ? timestampMs(issuedAt) : 0,
    level: known("level", levelWords.word(message.level)),
    priority: known("priority", priorityWords.word(message.priority)),
    route: known("route", routeWords.word(message.route)),
    events: message.events.map(eventOf),
    metrics: message.metrics.map(
      ({ name, value, labels }): TelemetryMetric => ({
        name: known("metric", METRIC_NAMES.includes(name as MetricName) ? (name as MetricName) : undefined),
        value,
        ...(Object.keys(labels).length > 0 && { labels }),
      }),
    ),
  };
}

function eventOf({ name, level, occurredAt, attributes }: EventMessage): TelemetryEvent {
  return {
    name: known("event", EVENT_NAMES.includes(name as EventName) ? (name as EventName) : undefined),
    level: known("level", levelWords.word(level)),
    atMs: occurredAt ? timestampMs(occurredAt) : 0,
    attributes: Object.fromEntries(
      Object.entries(attributes).map(([key, { kind }]) => [key, known("attribute", kind.value)]),
    ),
  };
}

function known<T>(what: string, value: T | undefined): T {
  if (value === undefined) throw new KasminaError("corrupt", `an unknown ${what}`);
  return value;
}

/** The outcome of one command of a run. */
export interface RunOutcome extends CommandOutcome {
  readonly trainingRunId: string;
}

export function encodeOutcome({
  effectiveStep,
  commandId,
  seedId,
  message,
  status,
  ...rest
}: RunOutcome): Uint8Array {
  const outcome = create(CommandOutcomeSchema, {
    ...rest,
    status: outcomeWords.code(status),
    commandId: commandId ?? "",
    seedId: seedId ?? "",
    message: message ?? "",
    ...(effectiveStep !== undefined && { effectiveStep: BigInt(effectiveStep) }),
  });
  return toBinary(CommandOutcomeSchema, outcome);
}

/** @throws KasminaError `corrupt` for bytes that are no outcome */
export function decodeOutcome(bytes: Uint8Array): RunOutcome {
  try {
    const { status, effectiveStep, reason, trainingRunId, commandId, seedId, message } = fromBinary(
      CommandOutcomeSchema,
      bytes,
    );
    return {
      ...{ reason, trainingRunId },
      status: known("status", outcomeWords.word(status)),
      ...(commandId !== "" && { commandId }),
      ...(seedId !== "" && { seedId }),
      ...(message !== "" && { message }),
      ...(effectiveStep !== undefined && { effectiveStep: Number(effectiveStep) }),
    };
  } catch (error) {
    throw new KasminaError("corrupt", "malformed outcome", { cause: error });
  }
}
