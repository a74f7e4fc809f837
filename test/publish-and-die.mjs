// Publishes an artifact and kills itself, as kill -9 would, at the n-th step: before, halfway through, or after a
// disk operation. Usage: node publish-and-die.mjs CATALOG N
import { writeFileSync } from "node:fs";
import { diskFiles } from "../dist/base/disk/index.node.js";
import { Catalog, packArtifact } from "../dist/catalog/index.js";
import { builtinBlueprints, initKernel } from "../dist/nn/index.js";

const [root, dieAt] = process.argv.slice(2);
let step = 0;
const mayDie = (before = () => {}) => {
  step++;
  if (step !== Number(dieAt)) return;
  before();
  process.kill(process.pid, "SIGKILL");
};
const mortal =
  (work) =>
  async (...args) => {
    mayDie();
    await work(...args);
    mayDie();
  };
const files = {
  ...diskFiles,
  rename: mortal(diskFiles.rename),
  syncFolder: mortal(diskFiles.syncFolder),
  async writeSynced(path, bytes) {
    mayDie();
    mayDie(() => writeFileSync(path, bytes.subarray(0, bytes.length / 2)));
    await diskFiles.writeSynced(path, bytes);
    mayDie();
  },
};
const rank = 2;
const catalog = await Catalog.open(root, { files });
await catalog.publish(
  packArtifact({
    blueprint: "low-rank",
    parameters: { rank },
    form: "delta",
    slotShape: [64],
    tensors: initKernel(builtinBlueprints.get("low-rank"), [64], { rank }, Number(dieAt)),
    prewarm: { p50Ms: 1, p95Ms: 2, batch: 1, engine: "test" },
    creator: "test",
    origin: { kind: "built", initSeed: Number(dieAt) },
  }),
);
