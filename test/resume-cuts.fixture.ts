/**
 * Killed at random moments, and again while it goes on from there, until it comes to its end: while it starts, while it
 * trains, in the middle of writing a checkpoint. And stopped by signals, which end it in an orderly way at any moment.
 */
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Random } from "../src/base/index.js";
import { readCheckpoint } from "../src/weatherlight/folder/checkpoint.js";
import {
  dyingWhileWriting,
  ended,
  epochOf,
  hasCheckpoint,
  hasEnded,
  hasRun,
  replayRun,
  resumeRun,
  startRun,
  tensorsDigest,
} from "./resume.fixture.js";

const SIGNALS = 8;
/** Of the time that a whole run trains: what a process that has come an epoch further gets at most. */
const MOST_TRAINING = 0.2;
/** Within the writing of checkpoints: about two of them. */
const MOMENTS_OF_WRITING = 24;
const LOOK_MS = 10;

/** Some minutes where nobody else is at work; on a busy machine it takes as long as it takes. */
const TIMEOUT_MS = 3_600_000;

/** When a process is cut: since it began, since it came an epoch further, or (by itself) at the nth moment of writing. */
type Moment =
  | { readonly when: "starting" | "training"; readonly afterMs: number }
  | { readonly when: "writing"; readonly nth: number };

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

/** The suite on one engine. */
export function describeCuts(engine: "wasm" | "native", kills: number): void {
  describe(`a run on ${engine}`, () => {
    let root = "";
    let whole = "";
    /** Of the whole run: until its first checkpoint, and from there to its end. */
    let startingMs = 0;
    let trainingMs = 0;
    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), `kasmina-cuts-${engine}-`));
      whole = join(root, "whole");
      const startMs = performance.now();
      const run = ended(startRun(whole, { engine }));
      const cancel = atFirst(
        () => hasCheckpoint(whole),
        () => {
          startingMs = performance.now() - startMs;
        },
      );
      expect(await run).toMatchObject({ code: 0 });
      cancel();
      trainingMs = performance.now() - startMs - startingMs;
    });
    afterAll(() => rm(root, { recursive: true, force: true }));

    /** Starts the run, or goes on with it, and cuts it. */
    async function goOn(runDir: string, cut: Cut | undefined): Promise<Ending> {
      const env = cut?.moment.when === "writing" ? dyingWhileWriting(cut.moment.nth) : {};
      const child = hasRun(runDir) ? resumeRun(runDir, env) : startRun(runDir, { engine, env });
      const cancel = cut && atMoment(runDir, child, cut);
      const { code, stderr } = await ended(child);
      cancel?.();
      return { code, stderr, cut };
    }

    /** Goes on with a run until it has come to its end, which is that of the whole one. */
    async function live(
      runDir: string,
      next: () => Cut | undefined,
      check: (ending: Ending, runDir: string) => void,
    ): Promise<void> {
      while (!hasEnded(runDir)) {
        check(await goOn(runDir, next()), runDir);
        if (hasCheckpoint(runDir)) await readCheckpoint(join(runDir, "checkpoint"));
      }
      expect(tensorsDigest(runDir)).toBe(tensorsDigest(whole));
    }

    /** A moment of that sort. */
    function randomMoment(random: Random, when: Moment["when"]): Moment {
      if (when === "writing") return { when, nth: 1 + random.below(MOMENTS_OF_WRITING) };
      const mostMs = when === "starting" ? startingMs : MOST_TRAINING * trainingMs;
      return { when, afterMs: mostMs * random.uniform() };
    }

    test(`is killed ${kills} times, and always goes on from a checkpoint that is whole`, {
      timeout: TIMEOUT_MS,
    }, async () => {
      const random = new Random(1);
      const killed = { starting: 0, training: 0, writing: 0 };
      const turns = ["starting", "training", "writing"] as const;
      const done = (): number => killed.starting + killed.training + killed.writing;
      const next = (): Cut | undefined => {
        const when = turns[done() % turns.length] ?? "starting";
        return done() < kills ? { signal: "SIGKILL", moment: randomMoment(random, when) } : undefined;
      };
      const check = ({ code, stderr, cut }: Ending, runDir: string): void => {
        if (code !== "SIGKILL") {
          expect({ code, stderr }).toMatchObject({ code: 0 });
          return;
        }
        const when = cut?.moment.when ?? "starting";
        killed[when]++;
        if (when === "writing") expectCutWriting(runDir, stderr);
      };
      let lives = 0;
      while (done() < kills) await live(join(root, `life-${lives++}`), next, check);
      console.info(`${engine}: kills ${JSON.stringify(killed)} in ${lives} runs`);
    });

    test("is stopped by signals at any moment, says so, and goes on from there", {
      timeout: TIMEOUT_MS,
    }, async () => {
      const random = new Random(2);
      let stops = 0;
      const next = (): Cut | undefined => {
        const signal = random.below(2) === 0 ? "SIGTERM" : "SIGINT";
        const when = stops % 2 === 0 ? "starting" : "training";
        return stops < SIGNALS ? { signal, moment: randomMoment(random, when) } : undefined;
      };
      const check = ({ code, stderr, cut }: Ending): void => {
        if (code === 0) return;
        stops++;
        // A process that has not begun yet ends as any does.
        if (code === cut?.signal) return;
        expect({ code, stderr }).toMatchObject({ code: cut?.signal === "SIGTERM" ? 143 : 130 });
      };
      for (let life = 0; stops < SIGNALS; life++) await live(join(root, `stopped-${life}`), next, check);
      expect(await ended(replayRun(join(root, "stopped-0")))).toMatchObject({ code: 0 });
    });
  });
}

/** Cuts a process at a moment of its life. Returns how to call that off. */
function atMoment(runDir: string, child: ChildProcess, { signal, moment }: Cut): () => void {
  if (moment.when === "writing") return () => undefined;
  let timer: NodeJS.Timeout | undefined;
  const wait = (): void => {
    timer = setTimeout(() => child.kill(signal), moment.afterMs);
  };
  const epoch = epochOf(runDir);
  const cancel = moment.when === "training" ? atFirst(() => epochOf(runDir) > epoch, wait) : wait();
  return () => {
    cancel?.();
    clearTimeout(timer);
  };
}

/** Calls `hear` once something is so. Returns how to call that off. */
function atFirst(isSo: () => boolean, hear: () => void): () => void {
  const looking = setInterval(() => {
    if (!isSo()) return;
    clearInterval(looking);
    hear();
  }, LOOK_MS);
  return () => clearInterval(looking);
}

/** The file that the process said it was at is there: a temporary one, or one that the others do not fit yet. */
function expectCutWriting(runDir: string, stderr: string): void {
  const [, file = ""] = /^killed while writing (.+)$/m.exec(stderr) ?? [];
  expect(file).not.toBe("");
  expect(existsSync(join(runDir, "checkpoint", file))).toBe(true);
}
