import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { numpy as np } from "@jax-js/jax";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, int32, scalar } from "../../../contracts/tensor.js";
import { describeBackend, evaluate } from "../../backend.conformance.js";
import { openBackend } from "../../open-backend.js";
import { type JaxArray, type ProgramDefinition, trace } from "../../trace.js";
import type { UpdateRule } from "../../update/rule.js";
import { loadOrt, type Ort } from "../ort.js";
import { deviceFailure } from "./device-session.js";
import { createGpuBackend } from "./gpu-backend.js";
import type { GpuBackend } from "./gpu-options.js";
import { adapter } from "./software-adapter.fixture.js";
import { openWebGpuBackend } from "./web-gpu-backend.js";

/** p ← p − rate·gradient, and counts. */
const DESCENT: UpdateRule<"last", "rate", "rate"> = {
  id: "descent",
  slots: ["last"],
  scalars: ["rate"],
  settings: ["rate"],
  countsSteps: true,
  scalarsOf: ({ rate }) => ({ rate }),
  next: (math, { parameter, gradient, scalars }) => ({
    parameter: math.sub(parameter, math.mul(scalars.rate, gradient)),
    slots: { last: gradient },
  }),
};

const W = { shape: [2, 3], dtype: "float32" } as const;

/** The gradient of the sum of squares, 2·w; gives that sum. */
const STEP: ProgramDefinition = {
  name: "descent step",
  state: { w: W },
  batch: {},
  controls: {},
  update: {
    rule: DESCENT,
    targets: { w: { slots: { last: "w/last" }, count: "count", settings: { rate: "lr" } } },
  },
  run: ({ w }) => {
    const array = w as JaxArray;
    return { state: {}, gradients: { w: array.ref.mul(2) }, outputs: { loss: np.sum(np.square(array)) } };
  },
};

describe.skipIf(!adapter)("on a device", () => {
  describeBackend("gpu", () => createGpuBackend());

  let backend: GpuBackend;
  beforeAll(async () => {
    backend = await createGpuBackend();
  });
  afterAll(() => backend.dispose());

  function startState() {
    const state = backend.createState();
    state.write({ w: float32([2, 3], 1), "w/last": float32([2, 3]), count: scalar(0) });
    return state;
  }

  test("is opened where it is asked for by name", async () => {
    const opened = await openBackend("gpu");
    expect(opened.reason).toMatch(/^gpu: onnxruntime-node 1\.\d+\.\d+ on WebGPU \(as asked\)$/);
    await opened.backend.dispose();
  });

  test("2,000 steps keep their tensors on the device, as many as there were, and bring none of the state back", async () => {
    const program = await backend.compile(trace(STEP));
    const state = startState();
    await program.run(state, {}, { lr: scalar(0.001) });
    const before = backend.device;
    for (let step = 1; step < 2_000; step++) await program.run(state, {}, { lr: scalar(0.001) });
    expect(backend.device).toEqual(before);
    expect(before.tensors).toBe(2); // the parameter and its slot; the count is a number here
    expect(before.bytes).toBe(2 * 6 * 4);
    const { w, count } = await state.read(["w", "count"]);
    expect(count?.data[0]).toBe(2_000);
    expect(w?.data[0]).toBeCloseTo(0.998 ** 2_000, 6);
    state.dispose();
    program.dispose();
    expect(backend.device).toMatchObject({ tensors: 0, bytes: 0 });
  });

  test("what is removed is freed at once, what is being read not before it has been", async () => {
    const program = await backend.compile(trace(STEP));
    const state = startState();
    await program.run(state, {}, { lr: scalar(0.5) });
    const reading = state.read(["w"]);
    state.remove(["w", "w/last"]);
    expect(backend.device.tensors).toBe(1);
    expect([...((await reading).w?.data ?? [])]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(backend.device.tensors).toBe(0);
    state.dispose();
    program.dispose();
  });

  test("a setting that is missing is one error, and the state is as it was", async () => {
    const program = await backend.compile(trace(STEP));
    const state = startState();
    await expect(program.run(state, {}, {})).rejects.toThrow(
      /descent step needs controls lr float32\[\], which is missing/,
    );
    state.remove(["w/last"]);
    await expect(program.run(state, {}, { lr: scalar(1) })).rejects.toThrow(
      /descent step needs state w\/last float32\[2,3\], which is missing/,
    );
    expect((await state.read(["count"])).count?.data[0]).toBe(0);
    state.dispose();
    program.dispose();
  });

  test("bool and whole numbers go to the device and come back", async () => {
    const given = [float32([3], [1, -2, 3]), int32([3], [7, -8, 9])];
    const [moved, flags] = await evaluate(backend, given, (x, i) => [
      np.where(x.ref.less(0), 0, i),
      np.flip(x.less(0)),
    ]);
    expect([...(moved?.data ?? [])]).toEqual([7, 0, 9]);
    expect([...(flags?.data ?? [])]).toEqual([0, 1, 0]);
    const state = backend.createState();
    const flag = { shape: [2], dtype: "bool", data: Uint8Array.of(0, 1) } as const;
    state.write({ flag, whole: int32([2], [3, -4]) });
    const spec = { flag: { shape: [2], dtype: "bool" }, whole: { shape: [2], dtype: "int32" } } as const;
    const program = await backend.compile(
      trace({
        name: "turned round",
        state: spec,
        batch: {},
        controls: {},
        run: ({ flag: f, whole }) => ({
          state: { flag: np.flip(f as JaxArray), whole: np.flip(whole as JaxArray) },
          outputs: {},
        }),
      }),
    );
    await program.run(state, {}, {});
    const read = await state.read();
    expect([...(read.flag?.data ?? [])]).toEqual([1, 0]);
    expect([...(read.whole?.data ?? [])]).toEqual([-4, 3]);
    state.dispose();
    program.dispose();
  });

  test("what the provider would run on the CPU is refused by name, and what else is compiled still runs", async () => {
    const refused = evaluate(
      backend,
      [float32([3], [5, 7, 9]), float32([3], [2, 2, 2])],
      (a, b) => np.remainder(np.exp(a), b),
      "odd step",
    );
    await expect(refused).rejects.toMatchObject({
      code: "engine",
      message: expect.stringMatching(
        /^compiling odd step on the gpu engine: ONNX Runtime's WebGPU provider has no Mod\(float32, float32\) for mod\(float32\[3\], float32\[3\]\); the native engine has$/,
      ),
    });
    const [doubled] = await evaluate(backend, [float32([2], [1, 2])], (x) => x.mul(2));
    expect([...(doubled?.data ?? [])]).toEqual([2, 4]);
  });

  test("every node of a step and of its update is on the device, as the provider's own profile has it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "kasmina-profile-"));
    try {
      const profiled = await createGpuBackend({ profile: join(folder, "step") });
      const program = await profiled.compile(trace(STEP));
      const state = profiled.createState();
      state.write({ w: float32([2, 3], 1), "w/last": float32([2, 3]), count: scalar(0) });
      await program.run(state, {}, { lr: scalar(0.5) });
      state.dispose();
      await profiled.dispose();
      const files = await readdir(folder);
      const texts = await Promise.all(files.map((name) => readFile(join(folder, name), "utf8")));
      const events = texts.flatMap(
        (text) => JSON.parse(text) as { cat: string; args?: Record<string, unknown> }[],
      );
      const nodes = events.flatMap(({ cat, args }) => (cat === "Node" && args?.op_name ? [args] : []));
      expect(files.length).toBe(2);
      expect(nodes.map((node) => node.op_name)).toEqual(
        expect.arrayContaining(["Mul", "ReduceSumSquare", "Sub"]),
      );
      expect(new Set(nodes.map((node) => node.provider))).toEqual(new Set(["WebGpuExecutionProvider"]));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  /** The package, of which sessions run as `run` says. */
  async function failing(run: (steps: number) => void): Promise<GpuBackend> {
    const ort = await loadOrt();
    let steps = 0;
    const create: Ort["InferenceSession"]["create"] = async (...args: unknown[]) => {
      const session = await (ort.InferenceSession.create as (...all: unknown[]) => Promise<object>)(...args);
      return new Proxy(session, {
        get: (target, key) => {
          if (key === "run") run(steps++);
          const value: unknown = Reflect.get(target, key);
          return typeof value === "function" ? value.bind(target) : value;
        },
      }) as Awaited<ReturnType<Ort["InferenceSession"]["create"]>>;
    };
    return openWebGpuBackend({}, async () => ({ ...ort, InferenceSession: { create } }) as Ort);
  }

  test.each([
    ["lost", "Device was lost: the driver was reset", /the GPU was lost; what the run last saved is intact/],
    ["full", "Out of memory: buffer of 4 GB", /the GPU has not enough memory: take a smaller batch/],
  ])("a device that is %s in the middle of a step is one error, and leaves the state as it was", async (_, problem, message) => {
    const isDue = { now: false };
    // The update fails, when the step has run.
    let runs = 0;
    const breaking = await failing(() => {
      if (isDue.now && ++runs === 2) throw new Error(problem);
    });
    const program = await breaking.compile(trace(STEP));
    const state = breaking.createState();
    state.write({ w: float32([2, 3], 1), "w/last": float32([2, 3]), count: scalar(0) });
    await program.run(state, {}, { lr: scalar(0.25) });
    const before = breaking.device;
    isDue.now = true;
    await expect(program.run(state, {}, { lr: scalar(0.25) })).rejects.toMatchObject({
      code: "engine",
      message: expect.stringMatching(message),
    });
    expect(breaking.device).toEqual(before);
    const { w, count } = await state.read(["w", "count"]);
    expect([w?.data[0], count?.data[0]]).toEqual([0.5, 1]);
    state.dispose();
    await breaking.dispose();
  });
});

test("a machine without a GPU is told so, and what helps", async () => {
  const message = "Failed to get a WebGPU adapter: No supported adapters";
  const without = {
    env: { versions: {} },
    InferenceSession: { create: () => Promise.reject(new Error(message)) },
  };
  const ort = { ...(await loadOrt()), ...without } as unknown as Ort;
  await expect(openWebGpuBackend({}, async () => ort)).rejects.toMatchObject({
    code: "engine",
    message: expect.stringMatching(/^the gpu engine does not start: no GPU was found: on Linux it needs/),
  });
});

test("an error of another kind is not taken for one of the device", () => {
  expect(deviceFailure(new Error("Invalid rank for input"))).toBeUndefined();
});
