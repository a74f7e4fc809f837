/**
 * The GPU back end: programs lowered to ONNX and run by ONNX Runtime's WebGPU provider. State and gradients stay on the device,
 * where a program of its own updates the one by the other; batch and controls go there at each run, and outputs come back.
 */
import { KasminaError, messageOf } from "../../../base/errors.js";
import type { BackendStats, Program, State } from "../../backend.js";
import { lowerProgram } from "../../onnx/lower.js";
import { type TracedProgram, trace } from "../../trace.js";
import { tracedUpdate } from "../../update/traced-update.js";
import { loadOrt, type Ort } from "../ort.js";
import { SessionCache } from "../session-cache.js";
import { DeviceMemory } from "./device-memory.js";
import { compileError, createDeviceSession, type Location } from "./device-session.js";
import { DeviceState } from "./device-state.js";
import type { DeviceUse, GpuBackend, GpuOptions } from "./gpu-options.js";
import { DeviceStep, GpuProgram } from "./gpu-program.js";
import { takeDevice } from "./one-thread.js";
import { Transfers } from "./transfers.js";
import { checkNamedDrivers } from "./vulkan-drivers.js";

/** @param load gives the package */
export async function openWebGpuBackend(
  options: GpuOptions,
  load: () => Promise<Ort> = loadOrt,
): Promise<GpuBackend> {
  const ort = await load();
  let backend: WebGpuBackend | undefined;
  try {
    checkNamedDrivers();
    backend = new WebGpuBackend(ort, options, await takeDevice());
    await backend.check();
    return backend;
  } catch (error) {
    await backend?.dispose().catch(() => undefined);
    throw new KasminaError("engine", `the gpu engine does not start: ${messageOf(error)}`, { cause: error });
  }
}

class WebGpuBackend implements GpuBackend {
  readonly name = "gpu";
  readonly description: string;
  readonly #ort: Ort;
  readonly #options: GpuOptions;
  readonly #memory = new DeviceMemory();
  readonly #transfers: Transfers;
  readonly #sessions = new SessionCache();
  /** Gives the device back to other threads, once. */
  #giveBack: (() => Promise<void>) | undefined;

  constructor(ort: Ort, options: GpuOptions, giveBack: () => Promise<void>) {
    this.#ort = ort;
    this.#options = options;
    this.#giveBack = giveBack;
    this.#transfers = new Transfers(ort, this.#memory);
    this.description = `onnxruntime-node ${ort.env.versions.node ?? ""} on WebGPU`;
  }

  get stats(): BackendStats {
    return this.#sessions.stats;
  }

  get device(): DeviceUse {
    const { tensors, bytes } = this.#memory;
    const { uploadedBytes, downloadedBytes } = this.#transfers;
    return { tensors, bytes, uploadedBytes, downloadedBytes };
  }

  /** Sends a number there and back: a device that was found may still refuse to work. */
  async check(): Promise<void> {
    const sent = { shape: [], dtype: "float32", data: Float32Array.of(0.5) } as const;
    const there = await this.#transfers.upload(sent);
    const back = await this.#transfers.download(there);
    there.release();
    if (back[0] !== 0.5) throw new KasminaError("engine", `the GPU returned ${back[0]} for 0.5`);
  }

  async compile(traced: TracedProgram): Promise<Program> {
    const step = await this.#stepOf(traced);
    try {
      return new GpuProgram(traced, this.#memory, step, await this.#updateOf(traced));
    } catch (error) {
      step.release();
      throw error;
    }
  }

  createState(): State {
    return new DeviceState(this.#transfers);
  }

  async dispose(): Promise<void> {
    const giveBack = this.#giveBack;
    this.#giveBack = undefined;
    try {
      await this.#sessions.dispose();
      await this.#transfers.dispose();
    } finally {
      await giveBack?.();
    }
  }

  /** What becomes of the gradients, where there are some, as a program of its own. */
  async #updateOf({ definition, outputs }: TracedProgram): Promise<DeviceStep | undefined> {
    const gradients = outputs.flatMap(({ role, name }) => (role === "gradient" ? [name] : []));
    const { update, state } = definition;
    if (!update || gradients.length === 0) return undefined;
    const targets = Object.entries(update.targets).filter(([path]) => gradients.includes(path));
    const plan = { ...update, targets: Object.fromEntries(targets) };
    return this.#stepOf(trace(tracedUpdate(plan, state)), plan);
  }

  async #stepOf(traced: TracedProgram, plan?: DeviceStep["plan"]): Promise<DeviceStep> {
    const known = traced.lowered?.target === "webgpu" ? traced.lowered : undefined;
    const lowered = known ?? lowerProgram(traced.definition.name, traced, "webgpu");
    const locations = traced.outputs.map(({ role }): Location => (role === "output" ? "cpu" : "gpu-buffer"));
    // Sessions differ by where they leave their outputs, too.
    const asked = { ...lowered, digest: `${lowered.digest} ${locations.join(" ")}` };
    const lease = await this.#sessions.lease(asked, async () => {
      const outputs = Object.fromEntries(locations.map((location, i) => [`o${i}`, location]));
      try {
        return await createDeviceSession(this.#ort, lowered.model, outputs, this.#options.profile);
      } catch (error) {
        throw await compileError(this.#ort, traced, error);
      }
    });
    return new DeviceStep(this.#ort, traced, lease, plan);
  }
}
