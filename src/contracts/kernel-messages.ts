/** The kernel messages of proto/kasmina/v1/kernel.proto as plain data. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { KasminaError } from "../base/errors.js";
import {
  KernelArtifactErrorSchema,
  KernelArtifactReadySchema,
  KernelPrefetchRequestSchema,
} from "./gen/kasmina/v1/kernel_pb.js";
import type { KernelRequest } from "./ports.js";

/** A kernel is published; its bytes are at the reference. */
export interface KernelReady {
  readonly requestId: string;
  readonly blueprintId: string;
  /** `<blueprint>/<sha256>` in the catalog. */
  readonly artifactRef: string;
  /** 64 hex digits, over manifest and weights. */
  readonly sha256: string;
  readonly prewarmP50Ms: number;
  readonly prewarmP95Ms: number;
  readonly fallbackUsed: boolean;
}

/** A kernel could not be had. */
export interface KernelError {
  readonly requestId: string;
  readonly blueprintId: string;
  readonly reason: string;
}

export function encodeKernelRequest(request: KernelRequest): Uint8Array {
  const message = create(KernelPrefetchRequestSchema, {
    requestId: request.requestId,
    blueprintId: request.blueprintId,
    parameters: Object.entries(request.parameters).map(([name, value]) => ({ name, value })),
    trainingRunId: request.trainingRunId,
    seedId: request.seedId,
    slot: { id: request.slot.id, shape: [...request.slot.shape], depth: request.slot.depth },
    issuedAt: timestampFromMs(request.issuedAtMs),
    artifactSha256: request.artifactSha256 ?? "",
    initSeed: request.initSeed ?? 0,
  });
  return toBinary(KernelPrefetchRequestSchema, message);
}

/** @throws KasminaError `corrupt` for bytes that are no request, or one without a slot or with a parameter twice */
export function decodeKernelRequest(bytes: Uint8Array): KernelRequest {
  const { slot, issuedAt, artifactSha256, initSeed, parameters, ...rest } = decoded("kernel request", () =>
    fromBinary(KernelPrefetchRequestSchema, bytes),
  );
  if (!slot) throw new KasminaError("corrupt", "kernel request without a slot");
  const values = new Map(parameters.map(({ name, value }) => [name, value]));
  if (values.size !== parameters.length)
    throw new KasminaError("corrupt", "kernel request with a parameter twice");
  return {
    requestId: rest.requestId,
    blueprintId: rest.blueprintId,
    parameters: Object.fromEntries(values),
    trainingRunId: rest.trainingRunId,
    seedId: rest.seedId,
    slot: { id: slot.id, shape: slot.shape, depth: slot.depth },
    issuedAtMs: millisecondsOf(issuedAt),
    ...(artifactSha256 === "" ? {} : { artifactSha256 }),
    ...(initSeed === 0 ? {} : { initSeed }),
  };
}

function millisecondsOf(timestamp: Timestamp | undefined): number {
  return timestamp ? timestampMs(timestamp) : 0;
}

export function encodeKernelReady(ready: KernelReady): Uint8Array {
  return toBinary(KernelArtifactReadySchema, create(KernelArtifactReadySchema, ready));
}

/** @throws KasminaError `corrupt` for bytes that are no answer, or one whose latencies are no durations */
export function decodeKernelReady(bytes: Uint8Array): KernelReady {
  const { $typeName, $unknown, ...ready } = decoded("kernel answer", () =>
    fromBinary(KernelArtifactReadySchema, bytes),
  );
  for (const latencyMs of [ready.prewarmP50Ms, ready.prewarmP95Ms])
    if (!Number.isFinite(latencyMs) || latencyMs < 0)
      throw new KasminaError("corrupt", `kernel answer with a prewarm latency of ${latencyMs} ms`);
  return ready;
}

export function encodeKernelError(error: KernelError): Uint8Array {
  return toBinary(KernelArtifactErrorSchema, create(KernelArtifactErrorSchema, error));
}

/** @throws KasminaError `corrupt` for bytes that are no answer */
export function decodeKernelError(bytes: Uint8Array): KernelError {
  const { requestId, blueprintId, reason } = decoded("kernel error", () =>
    fromBinary(KernelArtifactErrorSchema, bytes),
  );
  return { requestId, blueprintId, reason };
}

function decoded<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new KasminaError("corrupt", `malformed ${what}`, { cause: error });
  }
}
