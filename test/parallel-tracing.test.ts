/** Tracing in parallel with training, with the built package: another process runs JavaScript. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { lowerProgram } from "../src/engine/native/index.js";
import type { Topology } from "../src/network/index.js";
import { builtinBlueprints, resmlp } from "../src/nn/index.js";
import { localTracer, OPTIMIZERS } from "../src/tolaria/index.js";
import type * as ProcessTracerModule from "../src/tolaria/tracing/process-tracer.node.js";

const dist = new URL("../dist/", import.meta.url);
const { ProcessTracer } = (await import(
  new URL("tolaria/tracing/process-tracer.node.js", dist).href
)) as typeof ProcessTracerModule;

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

const open: InstanceType<typeof ProcessTracer>[] = [];
afterEach(async () => {
  for (const tracer of open.splice(0)) await tracer.close();
});

function start(name: string) {
  const problems: string[] = [];
  const tracer = new ProcessTracer({
    host: { module: new URL("nn/index.js", dist).href, name, args: ["resmlp", task] },
    onFallback: (problem) => problems.push(problem),
  });
  open.push(tracer);
  return { tracer, problems };
}

describe("a topology traced in another process", () => {
  test("is the program that this one traces, lowered already", async () => {
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

  test("is traced on this thread where the host's module does not have it, and that is reported", async () => {
    const { tracer, problems } = start("noSuchHost");
    const traced = await tracer.trace(topology, options);
    expect(problems).toEqual([expect.stringMatching(/exports no noSuchHost/)]);
    expect(traced.train.digest).toBe((await localTracer.trace(topology, options)).train.digest);
  });

  test("is traced without the secrets of the environment", async () => {
    const folder = mkdtempSync(join(tmpdir(), "kasmina-tracing-"));
    const module = join(folder, "host.mjs");
    writeFileSync(
      module,
      "export function host() { throw new Error('keys ' + process.env.KASMINA_KEYS); }\n",
    );
    vi.stubEnv("KASMINA_KEYS", `e1:${"ab".repeat(32)}`);
    try {
      const problems: string[] = [];
      const tracer = new ProcessTracer({
        host: { module: pathToFileURL(module).href, name: "host", args: [] },
        onFallback: (problem) => problems.push(problem),
      });
      open.push(tracer);
      await tracer.trace(topology, options);
      expect(problems).toEqual([expect.stringMatching(/keys undefined/)]);
    } finally {
      vi.unstubAllEnvs();
      rmSync(folder, { recursive: true });
    }
  });

  test("is traced before what is anticipated later", async () => {
    const { tracer } = start("createHost");
    const others = (["germinated", "blending", "shadowing"] as const).map((part) => ({
      ...topology,
      sites: topology.sites.map((site) => ({ ...site, part })),
    }));
    const [first, ...later] = others;
    const done: string[] = [];
    const tell = (name: string) => (): void => void done.push(name);
    const underWay = tracer.anticipate(first ? [first] : [], options).map((one) => one.then(tell("first")));
    const awaited = tracer.trace(topology, options).then(tell("awaited"));
    const anticipated = tracer.anticipate(later, options).map((one) => one.then(tell("anticipated")));
    await Promise.all([...underWay, awaited, ...anticipated]);
    expect(done).toEqual(["first", "awaited", "anticipated", "anticipated"]);
  });

  test("outlives no process that started it, however that one ends", async () => {
    const folder = mkdtempSync(join(tmpdir(), "kasmina-tracer-"));
    const script = join(folder, "program.mjs");
    const module = new URL("nn/index.js", dist).href;
    writeFileSync(
      script,
      `import { createHost } from ${JSON.stringify(module)};
       import { OPTIMIZERS } from ${JSON.stringify(new URL("tolaria/index.js", dist).href)};
       import { ProcessTracer } from ${JSON.stringify(new URL("weatherlight/index.js", dist).href)};
       const args = ["resmlp", ${JSON.stringify(task)}];
       const tracer = new ProcessTracer({ host: { module: ${JSON.stringify(module)}, name: "createHost", args } });
       const topology = { host: createHost(...args), hostGradient: "detach", sites: [] };
       const options = { ...${JSON.stringify({ ...options, optimizer: undefined })}, optimizer: OPTIMIZERS.adam };
       await tracer.trace(topology, options);
       tracer.anticipate([{ ...topology, hostGradient: "flow" }], options);
       console.error("traced");`,
    );
    try {
      const program = spawn(process.execPath, [script], { stdio: ["ignore", "ignore", "pipe"] });
      const said: string[] = [];
      program.stderr.setEncoding("utf8").on("data", (text: string) => said.push(text));
      await once(program.stderr, "data");
      program.kill("SIGKILL");
      await once(program, "close"); // the tracer writes to the same stderr, which ends with the last of its writers
      expect({ signal: program.signalCode, said }).toEqual({ signal: "SIGKILL", said: ["traced\n"] });
    } finally {
      rmSync(folder, { recursive: true });
    }
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
