/** Tracing beside the training, with the built package: a worker thread runs JavaScript. */
import { afterEach, describe, expect, test } from "vitest";
import { lowerProgram } from "../src/engine/native/index.js";
import type { Topology } from "../src/kasmina/index.js";
import { builtinBlueprints, resmlp } from "../src/nn/index.js";
import { localTracer, OPTIMIZERS } from "../src/tolaria/index.js";
import type * as WorkerTracerModule from "../src/tolaria/worker-tracer.node.js";

const dist = new URL("../dist/", import.meta.url);
const { WorkerTracer } = (await import(
  new URL("tolaria/worker-tracer.node.js", dist).href
)) as typeof WorkerTracerModule;

const monitor = { batch: 4, rows: 1, coordinates: 64 };
const options = { optimizer: OPTIMIZERS.adam, trainBatch: 4, evaluationBatch: 8, monitor };
const task = { inputShape: [6], classes: 3 };
const topology: Topology = {
  host: resmlp(task),
  hostGradient: "detach",
  sites: [
    {
      seedId: "s1",
      slotId: "block1",
      blueprint: builtinBlueprints.get("mlp-residual"),
      parameters: { hidden: 4 },
      part: "shadow",
    },
  ],
};

const open: InstanceType<typeof WorkerTracer>[] = [];
afterEach(async () => {
  for (const tracer of open.splice(0)) await tracer.close();
});

function start(name: string) {
  const problems: string[] = [];
  const tracer = new WorkerTracer({
    host: { module: new URL("nn/index.js", dist).href, name, args: ["resmlp", task] },
    onFallback: (problem) => problems.push(problem),
  });
  open.push(tracer);
  return { tracer, problems };
}

describe("a topology traced in another thread", () => {
  test("is the program that this thread traces, lowered already", async () => {
    const { tracer, problems } = start("createHost");
    const [beside, here] = await Promise.all([
      tracer.trace(topology, options),
      localTracer.trace(topology, options),
    ]);
    expect(problems).toEqual([]);
    for (const which of ["train", "evaluate", "probe"] as const) {
      const [theirs, ours] = [beside[which], here[which]];
      if (!theirs || !ours) throw new Error(`no ${which} program`);
      expect(theirs.digest).toBe(ours.digest);
      expect(theirs.inputs).toEqual(ours.inputs);
      expect(theirs.lowered?.digest).toBe(lowerProgram("x", ours).digest);
    }
    expect(beside.proof).toEqual(here.proof);
    expect(here.proof.proven).toBe(true);
  });

  test("is traced on this thread where the host's module does not have it, and that is told", async () => {
    const { tracer, problems } = start("noSuchHost");
    const traced = await tracer.trace(topology, options);
    expect(problems).toEqual([expect.stringMatching(/exports no noSuchHost/)]);
    expect(traced.train.digest).toBe((await localTracer.trace(topology, options)).train.digest);
  });

  test("a closed tracer leaves the work to this thread", async () => {
    const { tracer, problems } = start("createHost");
    const traced = tracer.trace(topology, options);
    await tracer.close();
    expect((await traced).train.inputs.length).toBeGreaterThan(0);
    expect((await tracer.trace(topology, options)).evaluate.flops).toBeGreaterThan(0);
    expect(problems.at(-1)).toMatch(/has ended/);
  });
});
