/** Every reader of bytes from outside, each with bytes that it accepts. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { toBinary } from "@bufbuild/protobuf";
import { parquetWriteBuffer } from "hyparquet-writer";
import { ManualClock } from "../../src/base/index.js";
import { parseStrictJson } from "../../src/base/json.js";
import { artifactDigest, openArtifact, packArtifact, parseManifest } from "../../src/catalog/artifact.js";
import { buildCommand } from "../../src/contracts/commands.js";
import { COMMAND_CONTEXT, decodeEnvelope, signEnvelope } from "../../src/contracts/envelope.js";
import { AdaptationCommandSchema } from "../../src/contracts/gen/kasmina/v1/command_pb.js";
import {
  decodeKernelError,
  decodeKernelReady,
  decodeKernelRequest,
  decodeOutcome,
  decodeSafetensors,
  decodeState,
  decodeTelemetry,
  encodeKernelError,
  encodeKernelReady,
  encodeKernelRequest,
  encodeOutcome,
  encodeSafetensors,
  encodeState,
  encodeTelemetry,
  type KernelRequest,
  KeyRing,
} from "../../src/contracts/index.js";
import { addKey, listKeys, nodeCrypto } from "../../src/contracts/index.node.js";
import { decodeText } from "../../src/data/decode.js";
import { openIdxFolder } from "../../src/data/idx.node.js";
import { imageOf } from "../../src/data/images.fixture.js";
import { readImages } from "../../src/data/images.node.js";
import { datasetFromCsv, datasetFromText, learnTokenizer, openTokenizer } from "../../src/data/index.js";
import { readParquet } from "../../src/data/parquet.node.js";
import { parseJsonLines } from "../../src/data/records.js";
import { datasetFromTable } from "../../src/data/table-dataset.js";
import { openJournal } from "../../src/kasmina/security/journal.node.js";
import { NonceLedger } from "../../src/kasmina/security/nonce-ledger.js";
import { readUnsealed } from "../../src/kasmina/security/unsealed-journal.js";
import { CommandVerifier } from "../../src/kasmina/security/verifier.js";
import { Lines, parseRequest, parseResponse } from "../../src/weatherlight/control/control-protocol.js";
import {
  type JsonObject,
  readCheckpoint,
  writeCheckpoint,
} from "../../src/weatherlight/folder/checkpoint.js";
import { runFileOf } from "../../src/weatherlight/folder/run-file.js";
import { readRunFolder } from "../../src/weatherlight/folder/run-folder.js";
import { checkpointMetaOf, fromSaved } from "../../src/weatherlight/folder/saved-checkpoint.js";
import { summaryOf } from "../../src/weatherlight/folder/summary-file.js";
import { reportOf } from "../../src/weatherlight/report/index.js";
import { kernelOf } from "../support/held-kernels.js";

export interface Target {
  readonly name: string;
  /** Whether the samples are JSON, one or one a line. */
  readonly isJson: boolean;
  /** A reader, which may use the folder as its own, and the bytes that it is known to accept. */
  readonly open: (folder: string) => Promise<{
    readonly samples: readonly Uint8Array[];
    /** Throws a KasminaError for what it does not accept. */
    readonly read: (bytes: Uint8Array) => unknown;
  }>;
}

const RUNS = new URL("../fixtures/run-folders/", import.meta.url).pathname;
const RUN_ID = "run-1";
const utf8 = (text: string) => new TextEncoder().encode(text);
const ofRun = (file: string) => readFile(join(RUNS, file));

const clock = new ManualClock();
const keys = new KeyRing([{ id: "k1", secret: new Uint8Array(32).fill(42) }], nodeCrypto);

const COMMANDS = [
  { kind: "SEED", operation: "GERMINATE", blueprintId: "mlp-residual" },
  { kind: "OPTIMIZER", learningRate: 0.01 },
  { kind: "EMERGENCY", level: "FREEZE_SEEDS", reason: "a reason" },
  { kind: "ROLLBACK", source: "checkpoint", reason: "worse" },
] as const;

/** Commands as they are signed, without their signature. */
const payloads = COMMANDS.map((order, at) =>
  toBinary(
    AdaptationCommandSchema,
    buildCommand(
      {
        commandId: `c${at}`,
        trainingRunId: RUN_ID,
        issuedBy: "tamiyo",
        order,
        seedId: "s1",
        slotId: "block1",
      },
      clock.nowMs(),
      new Uint8Array(16).fill(at),
    ),
  ),
);

function newVerifier(): CommandVerifier {
  const limits = { freshnessWindowMs: 60_000, futureSkewMs: 5_000, maxBytes: 65_536, maxIdBytes: 128 };
  const ledger = new NonceLedger({
    ttlMs: 300_000,
    capacity: 1_000,
    cleanupMs: 30_000,
    clock,
    newIncarnation: () => "life",
  });
  return new CommandVerifier({ trainingRunId: RUN_ID, keys, ledger, clock, limits });
}

const REQUEST: KernelRequest = {
  requestId: "r1",
  trainingRunId: RUN_ID,
  seedId: "s1",
  blueprintId: "mlp-residual",
  parameters: { hidden: 8 },
  slot: { id: "block1", shape: [4], depth: 0 },
  issuedAtMs: 1_700_000_000_000,
};
const { tensors } = kernelOf(REQUEST);
const ARTIFACT = packArtifact({
  blueprint: "mlp-residual",
  parameters: REQUEST.parameters,
  form: "delta",
  slotShape: [4],
  prewarm: { p50Ms: 1, p95Ms: 2, batch: 8, engine: "wasm" },
  creator: "kasmina",
  origin: { kind: "built", initSeed: 7 },
  tensors,
});

/** Reads once the bytes are where they are read from. */
function after<T>(write: (bytes: Uint8Array) => Promise<void>, read: () => Promise<T> | T) {
  return async (bytes: Uint8Array): Promise<T> => {
    await write(bytes);
    return read();
  };
}

/** Writes one file of a folder, beside others that stay. */
async function fileIn(folder: string, name: string, others: Readonly<Record<string, Uint8Array>> = {}) {
  for (const [other, bytes] of Object.entries(others)) await writeFile(join(folder, other), bytes);
  return (bytes: Uint8Array) => writeFile(join(folder, name), bytes);
}

export const TARGETS: readonly Target[] = [
  {
    name: "envelope",
    isJson: false,
    open: async () => {
      const verifier = newVerifier();
      return {
        samples: payloads.map((payload) => signEnvelope(keys, COMMAND_CONTEXT, payload)),
        read: (bytes) => [decodeEnvelope(bytes), verifier.authenticate(bytes)],
      };
    },
  },
  {
    name: "command of a holder of the key",
    isJson: false,
    open: async () => {
      const verifier = newVerifier();
      return {
        samples: payloads,
        read: (bytes) => verifier.authenticate(signEnvelope(keys, COMMAND_CONTEXT, bytes)),
      };
    },
  },
  ...messageTargets(),
  {
    name: "journal, sealed",
    isJson: true,
    open: async (folder) => {
      const path = join(folder, "commands.journal");
      const options = { keys, trainingRunId: RUN_ID };
      const journal = openJournal(path, options);
      payloads.forEach((payload, at) => {
        journal.append({
          sequence: at + 1,
          busEntry: `entry-${at}`,
          commandId: `c${at}`,
          nonce: at.toString(16).padStart(2, "0").repeat(16),
          issuedAtMs: clock.nowMs(),
          envelope: signEnvelope(keys, COMMAND_CONTEXT, payload),
          payload,
          keyId: "k1",
          step: at,
          epoch: 0,
          acceptedAtMs: clock.nowMs(),
          outcome: { status: "applied", reason: "", effectiveStep: at + 20 },
        });
        journal.commit();
      });
      journal.close();
      const write = await fileIn(folder, "commands.journal");
      return {
        samples: [await readFile(path)],
        read: after(write, () => openJournal(path, { ...options, readOnly: true }).close()),
      };
    },
  },
  {
    name: "journal that nobody here can vouch for",
    isJson: true,
    open: async () => ({
      samples: [await ofRun("ended/commands.journal"), await ofRun("stopped/commands.journal")],
      read: readUnsealed,
    }),
  },
  {
    name: "checkpoint",
    isJson: true,
    open: async (folder) => {
      await writeCheckpoint(folder, { tensors, meta: { run_id: RUN_ID } });
      const write = await fileIn(folder, "checkpoint.json");
      return {
        samples: [await readFile(join(folder, "checkpoint.json"))],
        read: after(write, () => readCheckpoint(folder)),
      };
    },
  },
  {
    name: "meta of a checkpoint that is whole",
    isJson: true,
    open: async () => {
      const { meta } = await readCheckpoint(join(RUNS, "stopped/checkpoint"));
      return {
        samples: [utf8(JSON.stringify(meta))],
        read: (bytes) => {
          const found = { tensors, meta: jsonObject(bytes) };
          return [checkpointMetaOf(found.meta), fromSaved(found)];
        },
      };
    },
  },
  {
    name: "manifest",
    isJson: true,
    open: async () => ({ samples: [ARTIFACT.manifestBytes], read: parseManifest }),
  },
  {
    name: "artifact's weights",
    isJson: false,
    open: async () => {
      const { manifestBytes, weightsBytes } = ARTIFACT;
      return {
        samples: [weightsBytes],
        read: (bytes) => openArtifact(manifestBytes, bytes, artifactDigest(manifestBytes, bytes)),
      };
    },
  },
  {
    name: "safetensors",
    isJson: false,
    open: async () => ({ samples: [encodeSafetensors(tensors)], read: (bytes) => decodeSafetensors(bytes) }),
  },
  {
    name: "run.json",
    isJson: true,
    open: async (folder) => {
      const write = await fileIn(folder, "run.json");
      return {
        samples: [await ofRun("ended/run.json"), await ofRun("stopped/run.json")],
        read: after(write, async () => runFileOf((await readRunFolder(folder)).about, folder)),
      };
    },
  },
  {
    name: "summary.json",
    isJson: true,
    open: async (folder) => {
      const write = await fileIn(folder, "summary.json", { "run.json": await ofRun("ended/run.json") });
      return {
        samples: [await ofRun("ended/summary.json")],
        read: after(write, async () => summaryOf((await readRunFolder(folder)).summary, folder)),
      };
    },
  },
  {
    name: "events.ndjson, and the report made of it",
    isJson: true,
    open: async (folder) => {
      const write = await fileIn(folder, "events.ndjson", { "run.json": await ofRun("ended/run.json") });
      const lines = (await ofRun("ended/events.ndjson")).toString().split("\n");
      const from = (share: number) => Math.floor(share * (lines.length - 4));
      const sample = (share: number) => utf8(`${lines.slice(from(share), from(share) + 3).join("\n")}\n`);
      return {
        samples: [0, 0.2, 0.4, 0.6, 0.8, 1].map(sample),
        read: after(write, () => reportOf(folder)),
      };
    },
  },
  {
    name: "key file",
    isJson: true,
    open: async (folder) => {
      const path = join(folder, "keys");
      for (const kind of ["hmac", "ed25519"] as const) addKey(path, 1_700_000_000_000, { kind });
      const samples = [await readFile(path)];
      const write = await fileIn(folder, "keys");
      return { samples, read: after(write, () => listKeys(path)) };
    },
  },
  {
    name: "control request",
    isJson: true,
    open: async () => {
      const envelope = Buffer.from(signEnvelope(keys, COMMAND_CONTEXT, payloads[0] as Uint8Array));
      return {
        samples: [
          utf8(`${JSON.stringify({ type: "command", envelope: envelope.toString("base64") })}\n`),
          utf8('{"type":"status"}\n{"type":"status"}\n'),
        ],
        read: (bytes) => new Lines().push(bytes).map(parseRequest),
      };
    },
  },
  {
    name: "control answer",
    isJson: true,
    open: async () => ({
      samples: [
        utf8('{"type":"error","message":"the request is not JSON"}'),
        utf8('{"type":"status","status":{"trainingRunId":"run-1","step":3}}'),
      ],
      read: (bytes) => parseResponse(new TextDecoder().decode(bytes)),
    }),
  },
  {
    name: "CSV",
    isJson: false,
    open: async () => ({
      samples: [
        utf8(`a,b,label\n${"1,2,yes\n3,4,no\n5,6.5,yes\n-1e3,0,no\n".repeat(3)}`),
        utf8(
          '\ufeff"a ""x""";b;label\r\n1;"2";"ja;nein"\r\n3;4;nein\r\n'.repeat(1) +
            '5;6;nein\r\n7;8;"ja;nein"\r\n'.repeat(6),
        ),
        utf8(`a\tlabel\n${"1\t0\n\n2\t1.0\n".repeat(6)}`),
      ],
      read: (bytes) => datasetFromCsv(decodeText(bytes, "data"), "data", { label: "label" }),
    }),
  },
  {
    name: "JSON Lines",
    isJson: true,
    open: async () => ({
      samples: [utf8('{"a":1,"b":"x","label":"yes"}\n{"a":2.5,"b":null,"label":"no"}\n'.repeat(6))],
      read: (bytes) =>
        datasetFromTable(parseJsonLines(decodeText(bytes, "data"), "data"), "data", { fill: "mean" }),
    }),
  },
  {
    name: "Parquet",
    isJson: false,
    open: async (folder) => {
      const columnData = [
        { name: "a", data: Array.from({ length: 12 }, (_, i) => i / 2) },
        { name: "b", data: Array.from({ length: 12 }, (_, i) => (i % 3 ? "x" : "y")) },
        { name: "label", data: Array.from({ length: 12 }, (_, i) => (i % 2 ? "yes" : "no")) },
      ];
      const write = await fileIn(folder, "rows.parquet");
      const path = join(folder, "rows.parquet");
      return {
        samples: [new Uint8Array(parquetWriteBuffer({ columnData }))],
        read: after(write, () => readParquet(path, "data")),
      };
    },
  },
  {
    name: "text",
    isJson: false,
    open: async () => ({
      samples: [utf8("Call me Ishmael. Some years ago, never mind how long precisely. ".repeat(24))],
      read: (bytes) => datasetFromText(decodeText(bytes, "text"), "text"),
    }),
  },
  {
    name: "tokenizer.json",
    isJson: true,
    open: async () => {
      const text = "the whale's tail, and the whale. ";
      const learned = learnTokenizer(text.repeat(9), { vocabSize: 262 });
      const model = { type: "WordPiece", unk_token: "[UNK]", continuing_subword_prefix: "##" };
      const words = {
        normalizer: { type: "Lowercase" },
        pre_tokenizer: { type: "Split", pattern: { Regex: "\\s+" }, behavior: "Removed", invert: false },
        decoder: { type: "WordPiece", prefix: "##", cleanup: false },
        ...{ post_processor: null, added_tokens: [] },
        model: { ...model, vocab: { "[UNK]": 0, the: 1, whale: 2, "##s": 3 } },
      };
      return {
        samples: [utf8(learned.json), utf8(JSON.stringify(words))],
        read: async (bytes) => {
          const tokenizer = await openTokenizer(decodeText(bytes, "data"), "data");
          tokenizer.decode(tokenizer.encode(text));
        },
      };
    },
  },
  {
    name: "images",
    isJson: false,
    open: async (folder) => {
      const write = await fileIn(folder, "x.png");
      const images = { size: 8, channels: 3, mean: 0, deviation: 255, layout: "NHWC" } as const;
      return {
        samples: [await imageOf("#4080c0", 1, "x.png"), await imageOf("#c08040", 2, "x.jpg")],
        read: after(write, () => readImages(join(folder, "x.png"), images, {})),
      };
    },
  },
  {
    name: "IDX",
    isJson: false,
    open: async (folder) => {
      const images = Uint8Array.from([0, 0, 8, 3, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 2, ...bytesUpTo(32)]);
      const labels = Uint8Array.from([0, 0, 8, 1, 0, 0, 0, 8, 0, 1, 0, 1, 0, 1, 0, 1]);
      const write = await fileIn(folder, "train-images-idx3-ubyte", {
        "train-labels-idx1-ubyte": labels,
        "t10k-images-idx3-ubyte": images,
        "t10k-labels-idx1-ubyte": labels,
      });
      return {
        samples: [images, gzipSync(images)],
        read: after(write, () => openIdxFolder(folder)),
      };
    },
  },
];

/** What crosses the bus, after its seal was found whole. */
function messageTargets(): Target[] {
  const messages: readonly [string, Uint8Array, (bytes: Uint8Array) => unknown][] = [
    [
      "state",
      encodeState({
        trainingRunId: RUN_ID,
        step: 7,
        epoch: 1,
        epochs: 3,
        trainLoss: 0.5,
        seeds: [
          {
            id: "s1",
            slotId: "block1",
            blueprintId: "mlp-residual",
            stage: "TRAINING",
            alpha: 0.5,
            rampDone: false,
            parameters: 20,
          },
        ],
        slots: [{ id: "block1", shape: [4], depth: 0, seedIds: ["s1"] }],
        closedBlueprints: { "low-rank": 40 },
        paramsHost: 100,
        paramsTotal: 120,
        flopsPerStep: 1e6,
        flopsTotal: 7e6,
      }),
      decodeState,
    ],
    [
      "telemetry",
      encodeTelemetry({
        trainingRunId: RUN_ID,
        source: "kasmina",
        seedId: "s1",
        step: 7,
        epoch: 1,
        atMs: 1_700_000_000_000,
        level: "WARNING",
        priority: "HIGH",
        route: "normal",
        events: [
          { name: "seed_stage", level: "INFO", atMs: 1_700_000_000_000, attributes: { to: "TRAINING" } },
        ],
        metrics: [],
        retired: false,
      }),
      decodeTelemetry,
    ],
    [
      "outcome",
      encodeOutcome({ commandId: "c1", status: "refused", reason: "stale", trainingRunId: RUN_ID }),
      decodeOutcome,
    ],
    ["kernel request", encodeKernelRequest(REQUEST), decodeKernelRequest],
    [
      "kernel answer",
      encodeKernelReady({
        requestId: "r1",
        blueprintId: "mlp-residual",
        artifactRef: `mlp-residual/${"a".repeat(64)}`,
        sha256: "a".repeat(64),
        prewarmP50Ms: 1,
        prewarmP95Ms: 2,
        fallbackUsed: false,
      }),
      decodeKernelReady,
    ],
    [
      "kernel error",
      encodeKernelError({ requestId: "r1", blueprintId: "mlp-residual", reason: "too late" }),
      decodeKernelError,
    ],
  ];
  return messages.map(([name, sample, read]) => ({
    name: `${name} on the bus`,
    isJson: false,
    open: async () => ({ samples: [sample], read }),
  }));
}

function jsonObject(bytes: Uint8Array) {
  const value: unknown = parseStrictJson(new TextDecoder().decode(bytes));
  return typeof value === "object" && value !== null ? (value as JsonObject) : {};
}

function bytesUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i * 7);
}
