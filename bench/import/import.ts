/**
 * Hosts from ONNX files: what keeping the frozen prefix saves in a training step of PaddleOCR's classifier; time and memory to
 * import a model of 100 MB; time to trace and lower one of 2,000 nodes while another trains; and training steps of models
 * that PyTorch exports against PyTorch itself, where it is importable.
 *
 * Arguments: --threads 1 --rounds 7; --only prefix, size, nodes or pytorch: that alone
 */
import { parseArgs } from "node:util";
import { KasminaError } from "kasmina/base";
import type { Figures, Measurement } from "../measurement.js";
import { measurePrefix } from "./import-prefix.js";
import { measurePyTorch } from "./import-pytorch.js";
import { measureNodes, measureSize } from "./import-size.js";

const PARTS = { prefix: measurePrefix, size: measureSize, nodes: measureNodes, pytorch: measurePyTorch };

export const importing: Measurement = {
  name: "import",
  summary: "hosts from ONNX files: steps, import, tracing",
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        threads: { type: "string", default: "1" },
        rounds: { type: "string", default: "7" },
        only: { type: "string", default: "" },
      },
    });
    const [threads, rounds] = [Number(values.threads), Number(values.rounds)];
    if (!(Number.isInteger(threads) && threads > 0 && Number.isInteger(rounds) && rounds > 0))
      throw new KasminaError("invalid_argument", "--threads and --rounds must be whole numbers above 0");
    if (values.only !== "" && !Object.hasOwn(PARTS, values.only))
      throw new KasminaError("invalid_argument", `--only must be one of ${Object.keys(PARTS).join(", ")}`);
    const figures: Record<string, Figures> = {};
    for (const [name, measure] of Object.entries(PARTS))
      if (values.only === "" || values.only === name) figures[name] = await measure({ threads, rounds });
    return { threads, ...figures };
  },
};
