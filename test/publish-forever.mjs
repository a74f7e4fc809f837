// Publishes one artifact after another until it is killed, and says so after each. Usage: node publish-forever.mjs CATALOG LABEL
import { Catalog, packArtifact } from "../dist/catalog/index.js";
import { builtinBlueprints, initKernel } from "../dist/nn/index.js";

const [root, label] = process.argv.slice(2);
const catalog = await Catalog.open(root);
for (let initSeed = 0; ; initSeed++) {
  await catalog.publish(
    packArtifact({
      blueprint: "low-rank",
      parameters: { rank: 8 },
      form: "delta",
      slotShape: [256],
      tensors: initKernel(builtinBlueprints.get("low-rank"), [256], { rank: 8 }, initSeed),
      prewarm: { p50Ms: 1, p95Ms: 2, batch: 1, engine: "test" },
      creator: `test ${label}`,
      origin: { kind: "built", initSeed },
    }),
  );
  console.log(initSeed);
}
