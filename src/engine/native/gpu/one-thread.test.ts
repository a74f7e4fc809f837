import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import type * as OneThread from "./one-thread.js";
import { takeDevice } from "./one-thread.js";

const built = new URL("../../../../dist/engine/native/gpu/one-thread.js", import.meta.url).href;

/** Whether a thread of its own can take the device, and gives it back. */
async function takenElsewhere(): Promise<string> {
  const code = `
    const { parentPort } = require("node:worker_threads");
    import(${JSON.stringify(built)})
      .then(async ({ takeDevice }) => (await takeDevice())())
      .then(() => parentPort.postMessage("taken"), ({ message }) => parentPort.postMessage(message));`;
  const worker = new Worker(code, { eval: true });
  const [said] = (await once(worker, "message")) as [string];
  await worker.terminate();
  return said;
}

describe.skipIf(process.platform === "darwin")("the device", () => {
  test("is of one thread at a time, which may take it more than once", async () => {
    expect(await takenElsewhere()).toBe("taken");
    const releases = await Promise.all([takeDevice(), takeDevice()]);
    expect(await takenElsewhere()).toMatch(/^another thread of this process uses the GPU/);
    await releases[0]?.();
    expect(await takenElsewhere()).toMatch(/^another thread of this process uses the GPU/);
    await releases[1]?.();
    expect(await takenElsewhere()).toBe("taken");
  });

  test("is taken again while it is being given back", async () => {
    const first = await takeDevice();
    const [, second] = await Promise.all([first(), takeDevice()]);
    expect(await takenElsewhere()).toMatch(/^another thread of this process uses the GPU/);
    await second();
    expect(await takenElsewhere()).toBe("taken");
  });

  test("is of a thread, however many copies of this file it has loaded", async () => {
    const copy = (await import(built)) as typeof OneThread;
    const [first, second] = [await takeDevice(), await copy.takeDevice()];
    await first();
    expect(await takenElsewhere()).toMatch(/^another thread of this process uses the GPU/);
    await second();
    expect(await takenElsewhere()).toBe("taken");
  });
});
