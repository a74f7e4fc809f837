/**
 * Collects garbage when asked. V8 lets a heap of a few dozen MB grow for minutes before it looks for old garbage, and never looks in
 * a thread that has nothing to do. For threads and processes of our own, at moments when nobody waits for them; never for the thread of
 * a program that uses us, whose heap may be large. And for tests that measure memory: what is left after a collection is what is held.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** What collects all garbage of this thread at once: some 20 ms where it holds 30 MB. */
export function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** Less is not worth the time of the cores: V8's helper threads collect too, which all threads of a process share. */
const MIN_GROWN_BYTES = 4 * 2 ** 20;

/**
 * Collects once this thread has had nothing to do for a while, where it holds 4 MiB more than after the last time.
 * @param idleMs by the clock of the machine: when garbage goes decides nothing else
 * @returns what is to be called whenever a piece of work has ended
 */
export function idleCollector(idleMs = 100): () => void {
  const collect = garbageCollector();
  let collectedBytes = 0;
  const collectIfGrown = (): void => {
    if (heldBytes() - collectedBytes < MIN_GROWN_BYTES) return;
    collect();
    collectedBytes = heldBytes();
  };
  let timer: NodeJS.Timeout | undefined;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(collectIfGrown, idleMs);
    timer.unref();
  };
}

/** Of this thread alone, garbage included. */
function heldBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
