/**
 * Killed at random moments, and again while it goes on from there, until it comes to its end; every third time in the
 * middle of writing a checkpoint. And stopped by signals, which end it in an orderly way at any moment.
 */
import { type FSWatcher, watch } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { readCheckpoint } from "../src/tolaria/checkpoint.node.js";
import {
  ended,
  hasCheckpoint,
  hasEnded,
  hasRun,
  replayRun,
  resumeRun,
  startRun,
  tensorsDigest,
} from "./resume.fixture.js";

const KILLS = { wasm: 120, native: 80 };
const SIGNALS = 8;
/** Of the time that a whole run takes: from a process that has hardly begun to one that gets far. */
const SHARE = [0.1, 0.6] as const;
/** Changes in the folder of the checkpoints before a kill there: a few make one checkpoint. */
const MAX_CHANGES = 24;

/** Some minutes where nobody else is at work; on a busy machine it takes as long as it takes. */
const TIMEOUT_MS = 3_600_000;

type Moment = { readonly afterMs: number } | { readonly afterChanges: number };

interface Cut {
  readonly signal: NodeJS.Signals;
  readonly moment: Moment;
}

interface Ending {
  /** Exit code, or the signal that ended the process. */
  readonly code: number | string | null;
  readonly stderr: string;
  readonly cut: Cut | undefined;
}

let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "kasmina-kills-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe.each(["wasm", "native"] as const)("a run on %s", (engine) => {
  let whole = "";
  let wholeMs = 0;
  beforeAll(async () => {
    whole = join(root, engine);
    const startMs = performance.now();
    expect(await ended(startRun(whole, engine))).toMatchObject({ code: 0 });
    wholeMs = performance.now() - startMs;
  });

  /** Starts the run, or goes on with it, and cuts it. */
  async function goOn(runDir: string, cut: Cut | undefined): Promise<Ending> {
    const child = hasRun(runDir) ? resumeRun(runDir) : startRun(runDir, engine);
    const cancel = cut && atMoment(runDir, cut.moment, () => child.kill(cut.signal));
    const { code, stderr } = await ended(child);
    cancel?.();
    return { code, stderr, cut };
  }

  /** Goes on with a run until it has come to its end, which is that of the whole one. */
  async function live(
    runDir: string,
    next: (runDir: string) => Cut | undefined,
    check: (ending: Ending) => Promise<void> | void,
  ): Promise<void> {
    while (!hasEnded(runDir)) {
      await check(await goOn(runDir, next(runDir)));
      if (hasCheckpoint(runDir)) await readCheckpoint(join(runDir, "checkpoint"));
    }
    expect(tensorsDigest(runDir)).toBe(tensorsDigest(whole));
  }

  function randomTime(random: Random): Moment {
    const [least, most] = SHARE;
    return { afterMs: wholeMs * (least + (most - least) * random.uniform()) };
  }

  test(`is killed ${KILLS[engine]} times, and always goes on from a checkpoint that is whole`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const random = new Random(1);
    let kills = 0;
    let whileWriting = 0;
    const next = (runDir: string): Cut | undefined => {
      if (kills === KILLS[engine]) return undefined;
      const inWriting = kills % 3 === 2 && hasCheckpoint(runDir);
      const moment = inWriting ? { afterChanges: 1 + random.below(MAX_CHANGES) } : randomTime(random);
      return { signal: "SIGKILL", moment };
    };
    const check = ({ code, stderr, cut }: Ending): void => {
      if (code !== "SIGKILL") {
        expect({ code, stderr }).toMatchObject({ code: 0 });
        return;
      }
      kills++;
      if (cut && "afterChanges" in cut.moment) whileWriting++;
    };
    for (let life = 0; kills < KILLS[engine]; life++)
      await live(join(root, `${engine}-life-${life}`), next, check);
    console.info(`${engine}: ${kills} kills, ${whileWriting} of them while a checkpoint was written`);
    expect(whileWriting).toBeGreaterThan(0);
  });

  test("is stopped by signals at any moment, says so, and goes on from there", async () => {
    const random = new Random(2);
    let stops = 0;
    const next = (): Cut | undefined => {
      const signal = random.below(2) === 0 ? "SIGTERM" : "SIGINT";
      return stops < SIGNALS ? { signal, moment: randomTime(random) } : undefined;
    };
    const check = ({ code, stderr, cut }: Ending): void => {
      if (code === 0) return;
      stops++;
      // A process that has not begun yet ends as any does.
      if (code === cut?.signal) return;
      expect({ code, stderr }).toMatchObject({ code: cut?.signal === "SIGTERM" ? 143 : 130 });
    };
    for (let life = 0; stops < SIGNALS; life++)
      await live(join(root, `${engine}-stopped-${life}`), next, check);
    expect(await ended(replayRun(join(root, `${engine}-stopped-0`)))).toMatchObject({ code: 0 });
  });
});

/** Calls `hear` at a moment of the run's life. Returns how to call that off. */
function atMoment(runDir: string, moment: Moment, hear: () => void): () => void {
  if ("afterMs" in moment) {
    const timer = setTimeout(hear, moment.afterMs);
    return () => clearTimeout(timer);
  }
  const watcher = afterChanges(runDir, moment.afterChanges, hear);
  return () => watcher.close();
}

/** Calls `hear` after so many changes in the folder of a run's checkpoints. */
function afterChanges(runDir: string, changes: number, hear: () => void): FSWatcher {
  let left = changes;
  return watch(join(runDir, "checkpoint"), () => {
    if (--left === 0) hear();
  });
}
