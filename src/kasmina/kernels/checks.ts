/** What a request, an answer and an artifact must be before a kernel is let in. */
import { KasminaError, messageOf } from "../../base/index.js";
import {
  type BlueprintCatalog,
  type BlueprintDescription,
  formatSpec,
  type Kernel,
  type KernelReady,
  type KernelRequest,
  sameSpec,
} from "../../contracts/index.js";

/** Why a kernel cannot be had. */
export const FETCH_REASONS = [
  "missing_training_run_id",
  "wrong_training_run_id",
  "missing_request_id",
  "missing_blueprint",
  "unknown_blueprint",
  "overloaded",
  "duplicate_request_id",
  "publish_failed",
  "worker_error",
  "wrong_blueprint",
  "wrong_artifact",
  "wrong_parameters",
  "wrong_weights",
  "artifact_mismatch",
  "artifact_unreadable",
  "timeout",
] as const;
export type FetchReason = (typeof FETCH_REASONS)[number];

export class FetchFailure extends Error {
  readonly reason: FetchReason;

  constructor(reason: FetchReason, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "FetchFailure";
    this.reason = reason;
  }

  /** What the reader throws: `corrupt` means the bytes are not those of the digest. */
  static from(error: unknown): FetchFailure {
    if (error instanceof FetchFailure) return error;
    const corrupt = error instanceof KasminaError && error.code === "corrupt";
    return new FetchFailure(corrupt ? "artifact_mismatch" : "artifact_unreadable", messageOf(error), error);
  }
}

/** Why a request is not even sent; undefined where it may be. */
export function requestProblem(
  request: KernelRequest,
  { trainingRunId, blueprints }: { readonly trainingRunId: string; readonly blueprints: BlueprintCatalog },
): FetchReason | undefined {
  if (isBlank(request.trainingRunId)) return "missing_training_run_id";
  if (request.trainingRunId !== trainingRunId) return "wrong_training_run_id";
  if (isBlank(request.requestId)) return "missing_request_id";
  if (isBlank(request.blueprintId)) return "missing_blueprint";
  if (!blueprints.find(request.blueprintId)) return "unknown_blueprint";
  return undefined;
}

function isBlank(text: string | undefined): boolean {
  return text === undefined || text.trim() === "";
}

/** @throws FetchFailure where the answer is to something else than was asked */
export function checkAnswer(request: KernelRequest, ready: KernelReady): KernelReady {
  if (ready.blueprintId !== request.blueprintId)
    throw new FetchFailure("wrong_blueprint", `the worker answered with a kernel of ${ready.blueprintId}`);
  const wanted = request.artifactSha256 ?? ready.sha256;
  if (ready.sha256 !== wanted || !/^[0-9a-f]{64}$/.test(ready.sha256))
    throw new FetchFailure(
      "wrong_artifact",
      `the worker answered with artifact ${ready.sha256.slice(0, 64)}`,
    );
  return ready;
}

/**
 * Holds a verified artifact against what was asked for, and its weights against what the blueprint has at the slot. A
 * fallback may have other parameters: it says that it is not what was asked for, and its gate refuses it.
 * @throws FetchFailure where they differ
 */
export function checkKernel(request: KernelRequest, kernel: Kernel, blueprints: BlueprintCatalog): Kernel {
  const blueprint = blueprints.find(kernel.blueprintId);
  if (kernel.blueprintId !== request.blueprintId || !blueprint)
    throw new FetchFailure("wrong_blueprint", `the artifact is a kernel of ${kernel.blueprintId}`);
  for (const [name, value] of Object.entries(request.parameters)) {
    if (!kernel.fallbackUsed && kernel.parameters[name] !== value)
      throw new FetchFailure("wrong_parameters", `${name} is ${kernel.parameters[name]}, not ${value}`);
  }
  const problem = weightsProblem(blueprint, request.slot.shape, kernel);
  if (problem) throw new FetchFailure("wrong_weights", problem);
  return kernel;
}

function weightsProblem(
  blueprint: BlueprintDescription,
  shape: readonly number[],
  { form, parameters, tensors }: Kernel,
): string | undefined {
  if (form !== blueprint.form)
    return `a kernel of ${blueprint.id} is a ${blueprint.form}, this one a ${form}`;
  const specs = Object.entries(blueprint.parameters(shape, parameters));
  if (specs.length !== Object.keys(tensors).length)
    return `the slot takes ${specs.map(([name]) => name)}; the kernel has ${Object.keys(tensors)}`;
  for (const [name, { shape: expected }] of specs) {
    const found = tensors[name];
    const spec = { shape: expected, dtype: "float32" } as const;
    if (!found || !sameSpec(found, spec))
      return `the slot takes ${name} as ${formatSpec(spec)}; the kernel has ${found ? formatSpec(found) : "none"}`;
  }
  return undefined;
}
