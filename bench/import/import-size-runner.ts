/**
 * Steps of `import-size` that need a process of their own: `make <file> <host>` writes a model, `import <file>` makes a host of one
 * and prints its nodes, the milliseconds that it took, and the memory in bytes that the process got for it.
 */
import { readFileSync } from "node:fs";
import { onnxHost } from "kasmina/nn";
import { grow } from "kasmina/weatherlight";
import { TEXT } from "./import-texts.js";

const KIB = 1_024;

async function make(file: string, host: string): Promise<void> {
  const { network } = await grow({ ...TEXT, host, engine: "native", growth: false });
  await network.toOnnx(file);
}

function importFile(file: string): void {
  const before = process.memoryUsage.rss();
  const startMs = performance.now();
  const bytes = readFileSync(file);
  const { inputShape, classes } = TEXT.data;
  const host = onnxHost(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), {
    ...{ inputShape, classes, inputDType: "int32" },
  });
  const ms = performance.now() - startMs;
  const peak = process.resourceUsage().maxRSS * KIB;
  const result = { ms, memory: peak - before, bytes: bytes.length, blocks: host.blocks.length };
  process.stdout.write(JSON.stringify(result));
}

const [what, file = "", host = ""] = process.argv.slice(2);
if (what === "make") await make(file, host);
else importFile(file);
