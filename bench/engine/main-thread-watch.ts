/** Preloaded into a program by `engine-growth`: writes the longest gap of its main thread's event loop to a file. */
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

/** Until the program is loaded, there is nobody who could be kept waiting. */
const START_MS = 100;

const file = process.env.KASMINA_BENCH_GAP_FILE;
delete process.env.KASMINA_BENCH_GAP_FILE; // the program's own children are not watched
if (isMainThread && file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  setTimeout(() => delay.enable(), START_MS).unref();
  process.on("exit", () => {
    delay.disable();
    writeFileSync(file, String(delay.max / 1e6));
  });
}
