/** `docs/onnx-operators.md` is made from the table: `npm run docs:operators` writes it. */
import { expect, test } from "vitest";
import { NEWEST_OPSET, OLDEST_OPSET } from "../read-model.js";
import { findOperator, OPERATOR_NAMES } from "./index.js";

/** The newest operator set of the old form, and the first of the next one. */
function setsOf(name: string): string {
  const versions = findOperator(name)?.versions ?? [];
  const forms = versions.map(({ since }, i) => {
    const last = (versions[i + 1]?.since ?? NEWEST_OPSET + 1) - 1;
    const first = Math.max(OLDEST_OPSET, since);
    return last < OLDEST_OPSET ? "" : first === last ? `${first}` : `${first}–${last}`;
  });
  return forms.filter((form) => form !== "").join(", ");
}

test("the page of supported operators is what the table says", async () => {
  const rows = OPERATOR_NAMES.map(
    (name) => `| ${name} | ${setsOf(name)} | ${findOperator(name)?.except ?? ""} |`,
  );
  const page = [
    "# ONNX operators that can be imported",
    "",
    "<!-- Made by `npm run docs:operators` from src/engine/onnx/import/operators. -->",
    "",
    `Kasmina reads models of operator sets ${OLDEST_OPSET} to ${NEWEST_OPSET} in float32. An operator that is not listed here, or what is said not to be`,
    "supported of one, is refused with the name of its node, the operator set and what to do. Where the meaning changed between",
    "operator sets, each has its own rule.",
    "",
    "| operator | operator sets | not supported |",
    "| --- | --- | --- |",
    ...rows,
    "",
    "Not supported at all: `If`, `Loop`, `Scan`, quantized operators, functions, sparse tensors, sequences, strings, float16 and",
    "bfloat16 weights, operators of other domains than the standard's.",
    "",
  ].join("\n");
  await expect(page).toMatchFileSnapshot("../../../../../docs/onnx-operators.md");
});
