/**
 * Reads an AdaptationCommand off the wire. The dozen fields that every command has are read by hand, the order itself
 * by protobuf-es: together about twice as fast as reading all of it by reflection, and this is what the rate of
 * commands depends on. Equal to `fromBinary` for what an encoder writes; where a message field comes twice the last
 * counts, which no encoder does.
 */
import { type DescMessage, fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { maxOf } from "../base/statistics.js";
import {
  type AdaptationCommand,
  CircuitBreakerCommandSchema,
  DecisionSchema,
  EmergencyCommandSchema,
  OptimizerCommandSchema,
  PauseCommandSchema,
  ResetCommandSchema,
  RollbackCommandSchema,
  SeedCommandSchema,
} from "./gen/kasmina/v1/command_pb.js";
import { decodeText } from "./text.js";

type FieldReader = (reader: BinaryReader, command: AdaptationCommand) => void;

interface Field {
  readonly wireType: WireType;
  readonly read: FieldReader;
}

const OPTIONS = { readUnknownFields: false } as const;

const varint = (read: FieldReader): Field => ({ wireType: WireType.Varint, read });
const delimited = (read: FieldReader): Field => ({ wireType: WireType.LengthDelimited, read });

function order(name: AdaptationCommand["payload"]["case"], schema: DescMessage): Field {
  return delimited((reader, command) => {
    const value = fromBinary(schema, reader.bytes(), OPTIONS);
    command.payload = { case: name, value } as AdaptationCommand["payload"];
  });
}

/** By field number; a hole is a number that no field has. */
const FIELDS: readonly (Field | undefined)[] = byNumber({
  1: varint((reader, command) => {
    command.version = reader.uint32();
  }),
  2: delimited((reader, command) => {
    command.commandId = reader.string(true);
  }),
  3: delimited((reader, command) => {
    command.trainingRunId = reader.string(true);
  }),
  4: varint((reader, command) => {
    command.commandType = reader.int32();
  }),
  5: delimited((reader, command) => {
    command.targetSeedId = reader.string(true);
  }),
  6: delimited((reader, command) => {
    command.slotId = reader.string(true);
  }),
  7: delimited((reader, command) => {
    command.issuedAt = readTimestamp(reader.bytes());
  }),
  8: delimited((reader, command) => {
    command.issuedBy = reader.string(true);
  }),
  9: varint((reader, command) => {
    command.expiresAfterMs = reader.uint32();
  }),
  10: delimited((reader, command) => {
    command.nonce = reader.bytes();
  }),
  11: varint((reader, command) => {
    command.expectedStage = reader.int32();
  }),
  12: delimited((reader, command) => {
    command.decision = fromBinary(DecisionSchema, reader.bytes(), OPTIONS);
  }),
  13: delimited((reader, command) => {
    command.incarnation = reader.string(true);
  }),
  20: order("seed", SeedCommandSchema),
  21: order("rollback", RollbackCommandSchema),
  22: order("optimizer", OptimizerCommandSchema),
  23: order("circuitBreaker", CircuitBreakerCommandSchema),
  24: order("pause", PauseCommandSchema),
  25: order("emergency", EmergencyCommandSchema),
  26: order("reset", ResetCommandSchema),
});

function byNumber(fields: Readonly<Record<number, Field>>): readonly (Field | undefined)[] {
  const numbers = Object.keys(fields).map(Number);
  return Array.from({ length: maxOf(numbers) + 1 }, (_, number) => fields[number]);
}

/**
 * The command that the bytes hold.
 * @throws Error for bytes that are no message; unknown fields are skipped
 */
export function readCommand(bytes: Uint8Array): AdaptationCommand {
  const reader = new BinaryReader(bytes, decodeText);
  const command = emptyCommand();
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const field = FIELDS[number];
    if (field?.wireType === wireType) field.read(reader, command);
    else reader.skip(wireType, number);
  }
  return command;
}

function emptyCommand(): AdaptationCommand {
  return {
    $typeName: "kasmina.v1.AdaptationCommand",
    version: 0,
    commandId: "",
    trainingRunId: "",
    commandType: 0,
    targetSeedId: "",
    slotId: "",
    issuedAt: undefined,
    issuedBy: "",
    expiresAfterMs: 0,
    nonce: NO_BYTES,
    expectedStage: 0,
    decision: undefined,
    incarnation: "",
    payload: { case: undefined },
  };
}

const NO_BYTES = new Uint8Array();
const ZERO = BigInt(0);

function readTimestamp(bytes: Uint8Array): Timestamp {
  const reader = new BinaryReader(bytes);
  const timestamp: Timestamp = { $typeName: "google.protobuf.Timestamp", seconds: ZERO, nanos: 0 };
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === 1 && wireType === WireType.Varint) timestamp.seconds = BigInt(reader.int64());
    else if (number === 2 && wireType === WireType.Varint) timestamp.nanos = reader.int32();
    else reader.skip(wireType, number);
  }
  return timestamp;
}
