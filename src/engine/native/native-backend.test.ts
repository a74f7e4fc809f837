import { numpy as np } from "@jax-js/jax";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32, int32 } from "../../contracts/tensor.js";
import { definitionOf, describeBackend, evaluate } from "../backend.conformance.js";
import type { Backend } from "../backend.js";
import { lowerProgram } from "../onnx/lower.js";
import { type JaxArray, trace } from "../trace.js";
import { createNativeBackend } from "./native-backend.js";

describeBackend("native", () => createNativeBackend({ threads: 2 }));

describe("native back end", () => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await createNativeBackend({ threads: 1 });
  });
  afterAll(() => backend.dispose());

  test("refuses a thread count that is none", async () => {
    await expect(createNativeBackend({ threads: 0 })).rejects.toThrow(/threads must be a whole number/);
    await expect(createNativeBackend({ threads: 1.5 })).rejects.toThrow(/got 1.5/);
  });

  test("an error of a run names the function, the primitive and the shapes", async () => {
    const run = evaluate(
      backend,
      [float32([5, 3]), int32([2], [1, 7])],
      (x, i) => np.take(x, i, 0),
      "embedding",
    );
    await expect(run).rejects.toMatchObject({
      code: "engine",
      message: expect.stringMatching(
        /running embedding, in gather\(float32\[5,3\], int32\[2\]\) on the native/,
      ),
      details: { program: "embedding", primitive: "gather" },
    });
  });

  test("a model that is damaged is one error with the function's name", async () => {
    const traced = trace(definitionOf("my step", [float32([2])], (x) => x.mul(2)));
    const lowered = lowerProgram("my step", traced);
    const damaged = { ...lowered, digest: "other", model: lowered.model.slice(0, 40) };
    await expect(backend.compile({ ...traced, lowered: damaged })).rejects.toMatchObject({
      code: "engine",
      message: expect.stringMatching(/^compiling my step on the native engine: /),
    });
    await expect(backend.compile({ ...traced, lowered })).resolves.toBeDefined();
  });

  test("a program that was lowered elsewhere runs as it is", async () => {
    const traced = trace(definitionOf("double", [float32([2])], (x) => x.mul(2)));
    const lowered = structuredClone(lowerProgram("double", traced));
    const program = await backend.compile({ ...traced, lowered });
    const { y0 } = await program.run(backend.createState(), { x0: float32([2], [1, 2]) }, {});
    expect([...(y0?.data ?? [])]).toEqual([2, 4]);
  });

  test("a second run on a state that is in use is refused", async () => {
    const traced = trace(definitionOf("double", [float32([2])], (x) => x.mul(2)));
    const program = await backend.compile(traced);
    const state = backend.createState();
    const first = program.run(state, { x0: float32([2]) }, {});
    await expect(program.run(state, { x0: float32([2]) }, {})).rejects.toThrow(/in use by a program/);
    await first;
    program.dispose();
    await expect(program.run(state, { x0: float32([2]) }, {})).rejects.toThrow(/double is disposed/);
  });

  test("steps leave no copies of the state for the garbage collector", async () => {
    const size = 2 ** 18;
    const program = await backend.compile(
      trace({
        name: "decay",
        state: { w: { shape: [size], dtype: "float32" } },
        batch: {},
        controls: {},
        run: ({ w }) => ({ state: { w: (w as JaxArray).mul(0.5) }, outputs: {} }),
      }),
    );
    const state = backend.createState();
    state.write({ w: float32([size], 1) });
    await program.run(state, {}, {}); // from here on the state has both its memories
    const before = process.memoryUsage().arrayBuffers;
    const held: number[] = [];
    for (let step = 0; step < 20; step++) {
      await program.run(state, {}, {});
      held.push(process.memoryUsage().arrayBuffers - before);
    }
    expect(Math.max(...held)).toBeLessThan(4 * size);
    expect((await state.read(["w"])).w?.data[0]).toBe(2 ** -21);
    state.dispose();
    program.dispose();
  });

  test("programs in use outlive any number of others", async () => {
    const programs = [];
    for (let factor = 1; factor <= 40; factor++) {
      programs.push(
        await backend.compile(trace(definitionOf("scale", [float32([2])], (x) => x.mul(factor + 0.5)))),
      );
    }
    for (const [i, program] of programs.entries()) {
      const { y0 } = await program.run(backend.createState(), { x0: float32([2], [1, 2]) }, {});
      expect([...(y0?.data ?? [])]).toEqual([i + 1.5, 2 * (i + 1.5)]);
    }
    for (const program of programs) program.dispose();
  });
});
