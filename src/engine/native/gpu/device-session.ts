/** One compiled model on the device, what it cannot hold, and its errors in the program's own words. */
import type { InferenceSession } from "onnxruntime-node";
import { KasminaError } from "../../../base/errors.js";
import type { GraphNode, Value } from "../../onnx/graph.js";
import { liveNodes } from "../../onnx/graph.js";
import { describe, webGpuGraph } from "../../onnx/lower.js";
import { WEBGPU } from "../../onnx/operator-set.js";
import { writeOnnx } from "../../onnx/write-onnx.js";
import type { TracedProgram } from "../../trace.js";
import { firstLine, type Ort } from "../ort.js";

/** Where an output is left. */
export type Location = "cpu" | "gpu-buffer";

/** ONNX Runtime would else write what it throws to stderr as well. */
const FATAL_ONLY = 4;

/**
 * A session whose nodes all run on the device: one that would run on the CPU is an error, for each would take its operands from
 * the device and bring its result back at every step. ONNX Runtime's own graph rewriting is off, as on the CPU (../session.ts).
 * @param outputs where each output is left, by its name in the model
 * @param profile beginning of the path of the file that says what each operator took, where one is to be written
 */
export function createDeviceSession(
  ort: Ort,
  model: Uint8Array,
  outputs: Readonly<Record<string, Location>>,
  profile?: string,
): Promise<InferenceSession> {
  return ort.InferenceSession.create(model, {
    executionProviders: [{ name: "webgpu", preferredLayout: "NCHW" }],
    executionMode: "sequential",
    graphOptimizationLevel: "disabled",
    logSeverityLevel: FATAL_ONLY,
    preferredOutputLocation: outputs,
    ...(profile !== undefined && { enableProfiling: true, profileFilePrefix: profile }),
    extra: { session: { disable_cpu_ep_fallback: "1" } },
  });
}

/** Why a program could not be compiled: the nodes that the provider does not have, where it is for those. */
export async function compileError(ort: Ort, traced: TracedProgram, error: unknown): Promise<KasminaError> {
  const { name } = traced.definition;
  const options = { cause: error, details: { program: name } };
  const failure = deviceFailure(error);
  if (failure) return new KasminaError("engine", `compiling ${name} on the gpu engine: ${failure}`, options);
  const missing = await nodesWithoutDevice(ort, traced);
  const problem =
    missing.length === 0
      ? firstLine(error)
      : `ONNX Runtime's WebGPU provider has no ${missing.join(", no ")}; the native engine has`;
  return new KasminaError("engine", `compiling ${name} on the gpu engine: ${problem}`, options);
}

/** Asks the provider for each kind of node in a model of its own: `Mod(float32, float32) for mod(float32[3], float32[3])`. */
async function nodesWithoutDevice(ort: Ort, traced: TracedProgram): Promise<string[]> {
  const { graph, outputs } = webGpuGraph(traced.definition.name, traced.ir);
  const kinds = new Map<string, GraphNode>();
  for (const node of liveNodes(graph.nodes, outputs))
    if (!kinds.has(kindOf(node))) kinds.set(kindOf(node), node);
  const missing: string[] = [];
  for (const [kind, node] of kinds) {
    if (await hasNode(ort, node)) continue;
    const equation = traced.ir.equations[node.origin];
    missing.push(equation ? `${kind} for ${describe(equation)}` : kind);
  }
  return missing;
}

/** `Mod(float32, float32)` */
export function kindOf({ op, inputs }: GraphNode): string {
  return `${op}(${inputs.map(({ dtype }) => dtype).join(", ")})`;
}

/** Whether the provider has a node. */
export async function hasNode(ort: Ort, node: GraphNode): Promise<boolean> {
  const named = (prefix: string) => (value: Value, i: number) => ({ name: `${prefix}${i}`, value });
  const inputs = [...new Set(node.inputs)].filter(({ constant }) => !constant);
  const model = writeOnnx({
    nodes: [node],
    inputs: inputs.map(named("i")),
    outputs: node.outputs.map(named("o")),
    operatorSet: WEBGPU,
  });
  try {
    const session = await createDeviceSession(ort, model, {});
    await session.release();
    return true;
  } catch {
    return false;
  }
}

/** An error of a run, with the equation that it happened in. */
export function runError(traced: TracedProgram, error: unknown): KasminaError {
  const message = firstLine(error);
  const place = /Name:'(\d+)\//.exec(message)?.[1];
  const equation = place === undefined ? undefined : traced.ir.equations[Number(place)];
  const { name } = traced.definition;
  const where = equation ? `${name}, in ${describe(equation)}` : name;
  return new KasminaError(
    "engine",
    `running ${where} on the gpu engine: ${deviceFailure(error) ?? message}`,
    {
      cause: error,
      details: { program: name, ...(equation ? { primitive: equation.primitive } : {}) },
    },
  );
}

/** What the device failed in, with what helps; undefined for anything else. */
export function deviceFailure(error: unknown): string | undefined {
  const message = firstLine(error);
  const failure = FAILURES.find(({ pattern }) => pattern.test(message));
  return failure && `${failure.problem} (${message.replace(SOURCE_LINE, "")})`;
}

/** Where in ONNX Runtime a check has failed, and which. */
const SOURCE_LINE = /^\/onnxruntime_src\/.* was false\. /;

const FAILURES: readonly { readonly pattern: RegExp; readonly problem: string }[] = [
  {
    pattern: /webgpu adapter|no supported adapters/i,
    problem:
      "no GPU was found: on Linux it needs the Vulkan loader (libvulkan1) and a driver, on Windows Direct3D 12; or use the native engine",
  },
  {
    pattern: /device (was |is )?lost|device ?lost/i,
    problem:
      "the GPU was lost; what the run last saved is intact, so resume it, on the native engine if need be",
  },
  {
    pattern: /out ?of ?(device )?memory|failed to allocate|exceeds .*buffer ?size/i,
    problem: "the GPU has not enough memory: take a smaller batch or network, or the native engine",
  },
];
