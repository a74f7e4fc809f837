/** Preloaded into a program by `engine-growth`: writes the longest gap of its main thread's event loop to a file. */
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

const file = process.env.KASMINA_BENCH_GAP_FILE;
if (isMainThread && file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  process.on("exit", () => {
    delay.disable();
    writeFileSync(file, String(delay.max / 1e6));
  });
}
