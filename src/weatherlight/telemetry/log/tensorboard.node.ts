/**
 * A run as TensorBoard reads it: one event file, a sequence of records in TFRecord framing, each a protobuf message `Event`.
 * Framing: https://www.tensorflow.org/tutorials/load_data/tfrecord; messages: tensorboard/compat/proto/{event,summary,tensor}.proto of
 * TensorBoard 2.20, whose field numbers stand here where they are written.
 */
import { join, resolve } from "node:path";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { GrowingFile, makeFolder, PRIVATE_FILE, SHARED_FILE } from "../../../base/disk/index.node.js";
import { concatBytes, utf8 } from "../../../base/index.js";
import type { LogPoint, Note, Scalar } from "./log-points.js";
import type { LoggedRun, LogTarget } from "./log-target.js";

/** From which on a restart is said by {@link START}, and steps need not be in order. */
const FILE_VERSION = "brain.Event:2";
/** SessionLog.SessionStatus: what earlier files hold of this step and later ones does not count. */
const START = 1;
/** DataType of text. */
const DT_STRING = 7;

/** Event files in the run's folder, or in a folder of the run's name in another one. */
export class TensorboardTarget implements LogTarget {
  readonly name = "tensorboard";
  readonly #folder: string | undefined;
  #file: GrowingFile | undefined;
  #bytes = 0;

  /** @param folder undefined: the run's own */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  async open({ folder, runId, config, startedMs, firstStep }: LoggedRun): Promise<void> {
    const place = this.#folder === undefined ? folder : resolve(this.#folder, runId);
    await makeFolder(place);
    // TensorBoard takes every file with "tfevents" in its name, in the order of their names.
    const name = `events.out.tfevents.${Math.floor(startedMs / 1_000)}.${process.pid}.kasmina`;
    this.#file = GrowingFile.forAppending(
      join(place, name),
      config.share === true ? SHARED_FILE : PRIVATE_FILE,
    );
    const asked: Note = {
      kind: "note",
      tag: "configuration",
      step: firstStep,
      atMs: startedMs,
      lines: JSON.stringify(config, null, 2).split("\n"),
    };
    this.#append([versionEvent(startedMs), startEvent(firstStep, startedMs), pointEvent(asked)]);
  }

  async write(points: readonly LogPoint[]): Promise<void> {
    this.#append(points.map(pointEvent));
  }

  async close(): Promise<void> {
    this.#file?.close();
  }

  /** All of them or none, so that a full disk leaves no torn record behind. */
  #append(events: readonly Uint8Array[]): void {
    const bytes = concatBytes(...events.map(tfRecord));
    try {
      this.#file?.append(bytes);
    } catch (error) {
      this.#file?.truncate(this.#bytes);
      this.#file?.close();
      throw error;
    }
    this.#bytes += bytes.length;
  }
}

/** length (uint64), its masked CRC, the data, their masked CRC; little-endian. */
function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + 16);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return record;
}

function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** CRC-32C, RFC 3720 B.4, a byte at a time. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** Event: wall_time = 1 (seconds), step = 2, file_version = 3, summary = 5, session_log = 7. */
function event(atMs: number, step: number): BinaryWriter {
  return new BinaryWriter()
    .tag(1, WireType.Bit64)
    .double(atMs / 1_000)
    .tag(2, WireType.Varint)
    .int64(step);
}

function versionEvent(atMs: number): Uint8Array {
  return event(atMs, 0).tag(3, WireType.LengthDelimited).string(FILE_VERSION).finish();
}

/** SessionLog: status = 1. */
function startEvent(step: number, atMs: number): Uint8Array {
  const session = new BinaryWriter().tag(1, WireType.Varint).int32(START).finish();
  return event(atMs, step).tag(7, WireType.LengthDelimited).bytes(session).finish();
}

/** Summary: value = 1. */
function pointEvent(point: LogPoint): Uint8Array {
  const value = point.kind === "scalar" ? scalarValue(point) : textValue(point);
  const summary = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(value).finish();
  return event(point.atMs, point.step).tag(5, WireType.LengthDelimited).bytes(summary).finish();
}

/** Summary.Value: tag = 1, simple_value = 2. */
function scalarValue({ tag, value }: Scalar): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(tag)
    .tag(2, WireType.Bit32)
    .float(float32(value))
    .finish();
}

/** What float32 does not hold is infinite, as it is in PyTorch's writer. */
function float32(value: number): number {
  return Math.fround(value);
}

/** Summary.Value: tag = 1, tensor = 8, metadata = 9. SummaryMetadata: plugin_data = 1. PluginData: plugin_name = 1. */
function textValue({ tag, lines }: Note): Uint8Array {
  const plugin = new BinaryWriter().tag(1, WireType.LengthDelimited).string("text").finish();
  const metadata = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(plugin).finish();
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(tag)
    .tag(8, WireType.LengthDelimited)
    .bytes(textTensor(asCode(lines)))
    .tag(9, WireType.LengthDelimited)
    .bytes(metadata)
    .finish();
}

/** TensorProto of one string, no dimensions: dtype = 1, tensor_shape = 2, string_val = 8. */
function textTensor(text: string): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.Varint)
    .int32(DT_STRING)
    .tag(2, WireType.LengthDelimited)
    .bytes(new Uint8Array())
    .tag(8, WireType.LengthDelimited)
    .bytes(utf8(text))
    .finish();
}

/** TensorBoard shows Markdown; as code, every name and reason stands as it is. */
function asCode(lines: readonly string[]): string {
  return lines.map((line) => `    ${line.replaceAll("\n", " ")}`).join("\n");
}
