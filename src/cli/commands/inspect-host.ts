/** `kasmina inspect --host onnx:<file>`: what a model is as a host, before anything is trained. */
import { KasminaError } from "../../base/index.js";
import type { OnnxDescription } from "../../nn/index.js";
import { describeOnnxFile } from "../../nn/index.node.js";
import { EXIT } from "../terminal/exit.js";
import { count } from "../terminal/growth-report.js";
import { type Io, say } from "../terminal/io.js";
import { formatTable } from "../terminal/text.js";

const PREFIX = "onnx:";

/** Prints it; the exit code says whether it can be a host. */
export function inspectHost(
  host: string,
  { json, inputShape }: { readonly json?: boolean; readonly inputShape?: string },
  io: Io,
): number {
  if (!host.startsWith(PREFIX) || host === PREFIX) {
    throw new KasminaError("invalid_argument", `--host must be onnx:<file>, got ${host}`);
  }
  const description = describeOnnxFile(
    host.slice(PREFIX.length),
    inputShape === undefined ? undefined : sizesOf(inputShape),
  );
  io.stdout.write(json ? `${JSON.stringify(description)}\n` : formatDescription(description));
  for (const line of description.refused) say(io, line);
  return description.refused.length > 0 ? EXIT.failed : EXIT.done;
}

function sizesOf(text: string): number[] {
  const sizes = text.split(/[,x]/).map(Number);
  if (sizes.every((size) => Number.isInteger(size) && size > 0)) return sizes;
  throw new KasminaError("invalid_argument", `--input-shape must be sizes such as 3,48,192, got ${text}`);
}

function formatDescription(description: OnnxDescription & { readonly sha256: string }): string {
  const { opset, producer, nodes, inputs, outputs, weights, statistics, parameters, slots, sha256 } =
    description;
  const tensor = ({ name, type, shape }: (typeof inputs)[number]): string =>
    `${name} ${type}[${shape.join(", ")}]`;
  const facts = formatTable([
    ["model", `operator set ${opset}, ${count(nodes)} nodes${producer === "" ? "" : `, by ${producer}`}`],
    ["sha256", sha256],
    ["inputs", inputs.map(tensor).join("; ")],
    ["outputs", outputs.map(tensor).join("; ")],
    [
      "weights",
      `${count(weights)} in ${parameters.filter(({ learns }) => learns).length} tensors, and ${count(statistics)} that never learn`,
    ],
  ]);
  if (slots.length === 0) return `${facts.join("\n")}\n`;
  const rows = slots.map(({ id, tensor: name, shape, node, proposed }) => [
    proposed ? "slot" : "",
    id,
    `[${shape.join(", ")}]`,
    name,
    node,
  ]);
  const table = formatTable([["", "id", "shape", "tensor", "after node"], ...rows]);
  return `${facts.join("\n")}\n\n${table.join("\n")}\n`;
}
