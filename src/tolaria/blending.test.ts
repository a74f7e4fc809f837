import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type BlendConfig,
  type BlendMode,
  float32,
  int32,
  type SeedPart,
  sizeOf,
  type Tensors,
} from "../contracts/index.js";
import { type Arrays, type Backend, openBackend, type Program, trace } from "../engine/index.js";
import { blendWeights } from "../kasmina/index.js";
import { blends, fraction } from "../kasmina/state/blends.fixture.js";
import { blendControlSpecs, blendSeed, blendTensors } from "../network/forward.js";
import { lookupIn, stepGradients } from "../network/gradients.js";
import { parameterSpecs, type SeedSite, type Topology } from "../network/topology.js";
import { type Blueprint, defineBlock, defineBlueprint, defineHost, normal } from "../nn/index.js";

const FORMS = ["delta", "replacement"] as const;
const BATCH = 3;

/** k = gain·h: a kernel whose float64 reference and derivatives stand on one line. */
function gain(form: Blueprint["form"]): Blueprint {
  return defineBlueprint({
    id: "gain",
    form,
    bounds: {},
    supports: () => true,
    parameters: (shape) => ({ gain: { shape: [shape.at(-1) ?? 0], init: normal(1) } }),
    apply: ({ gain }, h) => h.mul(gain),
  });
}

/** h = stem·x, logits = head·h, channel by channel; a slot of the input's shape behind the stem. */
function scaleHost(shape: readonly number[]) {
  const channels = shape.at(-1) ?? 0;
  const scale = (name: string, slot: boolean) =>
    defineBlock({
      name,
      parameters: { w: { shape: [channels], init: normal(1) } },
      outputShape: shape,
      slot,
      apply: ({ w }, x) => x.mul(w),
    });
  return defineHost({
    id: "scale",
    inputShape: shape,
    classes: channels,
    blocks: [scale("stem", true), scale("head", false)],
  });
}

function topologyOf(
  shape: readonly number[],
  form: Blueprint["form"],
  part: SeedPart,
  hostGradient: Topology["hostGradient"] = "detach",
): { topology: Topology; site: SeedSite } {
  const site: SeedSite = { seedId: "s1", slotId: "stem", blueprint: gain(form), parameters: {}, part };
  return { topology: { host: scaleHost(shape), sites: [site], hostGradient }, site };
}

const value = fc.double({ min: -3, max: 3, noNaN: true }).map(Math.fround);

/** The formulas of docs/architecture.md, "Blending", in float64, written down anew: one channel of the output from h and k. */
function reference(blend: BlendConfig, form: Blueprint["form"], alpha: number, c: number, channels: number) {
  const sorted = [...blend.confidenceLogits].sort((a, b) => b - a);
  const margin = (sorted[0] ?? 0) - (sorted[1] ?? 0);
  const gated = alpha / (1 + Math.exp(-blend.gateK * (margin - blend.gateTau)));
  const effective: Record<BlendMode, number> = {
    CONVEX: alpha,
    RESIDUAL: alpha,
    CHANNEL: alpha * (blend.alphaVec[Math.floor((c * blend.alphaVec.length) / channels)] ?? Number.NaN),
    CONFIDENCE: Math.min(alpha, Math.max(blend.alphaLo, Math.min(blend.alphaHi, gated))),
  };
  const a = effective[blend.mode];
  return (h: number, k: number): number => {
    const s = form === "delta" ? h + k : k;
    return blend.mode === "RESIDUAL" ? h + a * k : a * s + (1 - a) * h;
  };
}

const SHAPES = [[1], [6], [2, 6], [2, 3, 4]] as const;

describe.each(["wasm", "native"] as const)("on %s", (engine) => {
  let backend: Backend;
  beforeAll(async () => {
    ({ backend } = await openBackend(engine));
  });

  /** h, gain, weights → the blended output. */
  async function blendProgram(shape: readonly number[], form: Blueprint["form"]): Promise<Program> {
    const { topology, site } = topologyOf(shape, form, "probationary");
    return backend.compile(
      trace({
        name: "blend",
        state: parameterSpecs(topology),
        batch: { h: { shape: [BATCH, ...shape], dtype: "float32" } },
        controls: blendControlSpecs(topology),
        run: (state, batch, controls) => {
          const inputs = { topology, parameter: lookupIn(state), control: lookupIn(controls) };
          return { state: {}, outputs: { out: blendSeed(inputs, site, lookupIn(batch)("h")) } };
        },
      }),
    );
  }

  test.each(
    SHAPES.flatMap((shape) => FORMS.map((form) => [[...shape], form] as const)),
  )("every mode is its formula in float64 to 1e-6, and leaves its inputs alone: slot %j, %s kernel", async (shape, form) => {
    const channels = shape.at(-1) ?? 0;
    const size = BATCH * sizeOf(shape);
    const program = await blendProgram(shape, form);
    const host = backend.createState();
    const property = fc.asyncProperty(
      blends(channels),
      fraction,
      fc.array(value, { minLength: size, maxLength: size }),
      fc.array(value, { minLength: channels, maxLength: channels }),
      async (blend, alpha, hs, gains) => {
        const h = float32([BATCH, ...shape], Float32Array.from(hs));
        const parameters = { "seed/s1/gain": float32([channels], Float32Array.from(gains)) };
        const weights = blendWeights(blend, alpha, channels);
        host.write({
          "host/stem/w": float32([channels]),
          "host/head/w": float32([channels]),
          ...parameters,
        });
        const controls = controlsFrom(weights);
        const before = structuredClone({ h, parameters, controls });
        const { out } = await program.run(host, { h }, controls);
        for (const [i, got] of (out?.data ?? []).entries()) {
          const c = i % channels;
          const [hi = 0, k = 0] = [hs[i], (hs[i] ?? 0) * (gains[c] ?? 0)];
          const expected = reference(blend, form, alpha, c, channels)(hi, k);
          expect(Math.abs(got - expected)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(hi), Math.abs(k)));
          if ((weights.seedWeight[c] ?? 1) === 0) expect(got + 0).toBe(hi + 0);
        }
        expect({ h, parameters, controls }).toEqual(before);
        expect(await host.read(["seed/s1/gain"])).toEqual(before.parameters);
      },
    );
    await fc.assert(property, { numRuns: 40 });
    host.dispose();
  });

  const stages = FORMS.flatMap((form) => [
    ["shadow", "detach", form] as const,
    ["blending", "detach", form] as const,
    ["blending", "flow", form] as const,
    ["shadowing", "detach", form] as const,
    ["probationary", "detach", form] as const,
  ]);

  test.each(
    stages,
  )("gradients of %s (%s, %s kernel) are the hand-derived ones, in every mode", async (part, hostGradient, form) => {
    const channels = 4;
    const { topology } = topologyOf([channels], form, part, hostGradient);
    const program = await gradientProgram(backend, topology);
    const state = backend.createState();
    const property = fc.asyncProperty(
      blends(channels),
      fraction,
      fc.array(value, { minLength: BATCH * channels, maxLength: BATCH * channels }),
      fc.array(fc.array(value, { minLength: channels, maxLength: channels }), {
        minLength: 3,
        maxLength: 3,
      }),
      fc.array(fc.nat(channels - 1), { minLength: BATCH, maxLength: BATCH }),
      async (blend, alpha, x, [stem = [], head = [], gains = []], labels) => {
        const weights = blendWeights(blend, alpha, channels);
        state.write({
          "host/stem/w": float32([channels], Float32Array.from(stem)),
          "host/head/w": float32([channels], Float32Array.from(head)),
          "seed/s1/gain": float32([channels], Float32Array.from(gains)),
        });
        const batch = {
          x: float32([BATCH, channels], Float32Array.from(x)),
          y: int32([BATCH], Int32Array.from(labels)),
        };
        const got = await program.run(state, batch, controlsFrom(weights));
        const expected = handDerived({ part, hostGradient, form, weights, x, labels, stem, head, gains });
        for (const [path, values] of Object.entries(expected)) {
          const scale = Math.max(1, ...values.map(Math.abs));
          const actual = [...(got[path]?.data ?? [])];
          expect(actual).toHaveLength(values.length);
          for (const [i, number] of values.entries())
            expect(Math.abs((actual[i] ?? Number.NaN) - number), `${path}[${i}]`).toBeLessThan(2e-5 * scale);
        }
        expect(Object.keys(got).sort()).toEqual(Object.keys(expected).sort());
      },
    );
    await fc.assert(property, { numRuns: 30 });
    state.dispose();
  });

  test("1,000 changes of mode, vector, alpha, k, tau and logits compile nothing", async () => {
    const channels = 6;
    const program = await blendProgram([channels], "replacement");
    const state = backend.createState();
    const zero = float32([channels]);
    state.write({ "host/stem/w": zero, "host/head/w": zero, "seed/s1/gain": float32([channels], 2) });
    const h = float32([BATCH, channels], 1);
    const { compiled } = backend.stats;
    const seen = new Set<string>();
    for (const [i, blend] of fc.sample(blends(channels), 1_000).entries()) {
      const { out } = await program.run(state, { h }, controlsFrom(blendWeights(blend, i / 999, channels)));
      seen.add(out?.data.join() ?? "");
    }
    expect(backend.stats.compiled).toBe(compiled);
    expect(seen.size).toBeGreaterThan(300);
    state.dispose();
  });
});

function controlsFrom(weights: ReturnType<typeof blendWeights>): Tensors {
  return blendTensors({ seedId: "s1" }, weights);
}

function gradientProgram(backend: Backend, topology: Topology): Promise<Program> {
  const specs = parameterSpecs(topology);
  const channels = topology.host.classes;
  return backend.compile(
    trace({
      name: "gradients",
      state: specs,
      batch: { x: { shape: [BATCH, channels], dtype: "float32" }, y: { shape: [BATCH], dtype: "int32" } },
      controls: blendControlSpecs(topology),
      run: (state, batch, controls) => {
        const get = lookupIn(batch);
        const { gradients } = stepGradients(topology, state, controls, { x: get("x"), y: get("y") });
        return { state: {}, outputs: gradients as Arrays };
      },
    }),
  );
}

interface Setting {
  readonly part: SeedPart;
  readonly hostGradient: Topology["hostGradient"];
  readonly form: Blueprint["form"];
  readonly weights: ReturnType<typeof blendWeights>;
  readonly x: readonly number[];
  readonly labels: readonly number[];
  readonly stem: readonly number[];
  readonly head: readonly number[];
  readonly gains: readonly number[];
}

/**
 * h = stem·x, k = gain·h, out = v·h + w·k (delta: v = 1), logits = head·out or, beside the network, head·h. With
 * g = (softmax − onehot)·head / batch: ∂head = g/head·out, ∂gain = g·w·h, ∂stem = g·x·(what the host's branch passes).
 */
function handDerived(setting: Setting): Record<string, number[]> {
  const { part, hostGradient, stem, head, gains, labels } = setting;
  const sums = { stem: zeros(stem), head: zeros(stem), gain: zeros(stem) };
  for (const [row, label] of labels.entries()) {
    const channels = channelsOf(setting, row);
    const main = logitGradient(
      channels.map(({ main, c }) => main * at(head, c)),
      label,
    );
    const seeds = logitGradient(
      channels.map(({ blended, c }) => blended * at(head, c)),
      label,
    );
    for (const { c, x, h, w, main: out, passes } of channels) {
      sums.head[c] = at(sums.head, c) + (at(main, c) * out) / BATCH;
      sums.gain[c] = at(sums.gain, c) + (at(seeds, c) * at(head, c) * w * h) / BATCH;
      sums.stem[c] = at(sums.stem, c) + (at(main, c) * at(head, c) * passes(at(gains, c)) * x) / BATCH;
    }
  }
  const stemLearns = part === "shadow" || part === "probationary" || hostGradient === "flow";
  return {
    ...(stemLearns && { "host/stem/w": sums.stem }),
    "host/head/w": sums.head,
    ...(part !== "shadowing" && { "seed/s1/gain": sums.gain }),
  };
}

/** What one row comes to in each channel; `main` is what the network itself goes on with. */
function channelsOf({ part, form, weights, x, stem, gains }: Setting, row: number) {
  return stem.map((scale, c) => {
    const own = at(x, row * stem.length + c);
    const h = own * scale;
    const w = at(weights.seedWeight, c);
    const v = at(weights.hostWeight, c);
    const blended = (form === "delta" ? 1 : v) * h + w * at(gains, c) * h;
    const passes: Partial<Record<SeedPart, (k: number) => number>> = {
      shadow: () => 1,
      blending: () => v,
      probationary: (k) => (form === "delta" ? 1 : v) + w * k,
    };
    const main = part === "shadow" ? h : blended;
    return { c, x: own, h, w, blended, main, passes: passes[part] ?? (() => 0) };
  });
}

function zeros(like: readonly number[]): number[] {
  return like.map(() => 0);
}

/** softmax − onehot. */
function logitGradient(logits: readonly number[], label: number): number[] {
  const top = Math.max(...logits);
  const exps = logits.map((logit) => Math.exp(logit - top));
  const total = exps.reduce((sum, exp) => sum + exp, 0);
  return exps.map((exp, c) => exp / total - (c === label ? 1 : 0));
}

function at(values: ArrayLike<number>, index: number): number {
  return values[index] ?? Number.NaN;
}
