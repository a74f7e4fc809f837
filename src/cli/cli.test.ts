import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KasminaError } from "../base/index.js";
import type { Stage } from "../contracts/index.js";
import type { GrowthLine, Summary } from "../weatherlight/folder/growth-lines.js";
import { grow as growRun } from "../weatherlight/run/grow.js";
import type { WorkerCallbacks } from "../weatherlight/run/grow-in-worker.js";
import { runCli } from "./cli.js";
import { addGrow, type Grow } from "./commands/grow.js";
import { describeLine } from "./terminal/describe-line.js";
import { reportError } from "./terminal/exit.js";
import { formatDuration, formatReport } from "./terminal/growth-report.js";
import type { Io, StopSignal } from "./terminal/io.js";
import { formatTable } from "./terminal/text.js";

class TestIo implements Io {
  out = "";
  err = "";
  exitedWith: number | undefined;
  readonly env: Record<string, string>;
  readonly #listeners = new Set<(signal: StopSignal) => void>();
  readonly stdout = {
    isTTY: false,
    write: (text: string): void => {
      this.out += text;
    },
  };
  readonly stderr = {
    isTTY: false,
    write: (text: string): void => {
      this.err += text;
    },
  };

  constructor(env: Record<string, string> = {}) {
    this.env = env;
  }

  onSignal(listener: (signal: StopSignal) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  exitNow(code: number): void {
    this.exitedWith = code;
  }

  send(signal: StopSignal): void {
    for (const listener of this.#listeners) listener(signal);
  }

  get listening(): number {
    return this.#listeners.size;
  }
}

const summary: Summary = {
  type: "summary",
  run_id: "r1",
  engine: "wasm",
  seed: 0,
  host: "resmlp",
  data: "mnist",
  epochs: 6,
  accuracy_host_alone: 0.9712,
  accuracy: 0.9761,
  params_host: 29802,
  params_total: 33994,
  flops_total: 1.234e12,
  steps_per_s: 153.4,
  wall_s: 102.4,
  seeds: [
    {
      id: "s1",
      blueprint: "mlp-residual",
      slot: "block1",
      stage: "FOSSILIZED",
      alpha: 1,
      shadow_gain: 0.0123,
      contribution: 0.0088,
    },
    {
      id: "s2",
      blueprint: "low-rank",
      slot: "block2",
      stage: "DORMANT",
      alpha: 0,
      shadow_gain: null,
      contribution: null,
    },
  ],
  commands: { accepted: 7, rejected: 0 },
  isolation: { violations: 0, max_leak_ratio: 0, max_cosine: 0 },
};

const lines: readonly GrowthLine[] = [
  { type: "notice", text: "engine wasm: onnxruntime-node is not installed" },
  {
    type: "step",
    phase: "grow",
    step: 10,
    steps_total: 20,
    epoch: 1,
    loss: 0.5,
    seeds: [{ id: "s1", stage: "TRAINING", alpha: 0 }],
  },
  { type: "epoch", phase: "grow", epoch: 1, train_loss: 0.5, val_loss: 0.4, val_accuracy: 0.9 },
  { type: "event", name: "seed_stage", level: "INFO", seed_id: "s1", from: "GERMINATED", to: "TRAINING" },
  { type: "event", name: "seed_operation", level: "INFO", seed_id: "s1" },
  {
    type: "event",
    name: "gate_failure",
    level: "CRITICAL",
    seed_id: "s1",
    gate: "G2_STABILITY",
    reason: "no_shadow_gain",
  },
  { type: "event", name: "queue_dropped", level: "WARNING", dropped: 3, reason: "" },
  summary,
];

/** `kasmina grow` with a runner that says the lines above. */
async function grow(
  args: readonly string[],
  io: TestIo,
  runner: Grow = async (_, { onLine }) => {
    for (const line of lines) onLine?.(line);
    return summary;
  },
): Promise<number> {
  let exitCode = -1;
  const command = new Command("grow")
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} });
  addGrow(command, io, (code) => (exitCode = code), runner);
  try {
    await command.parseAsync([...args], { from: "user" });
    return exitCode;
  } catch (error) {
    return reportError(error, "kasmina grow", io);
  }
}

describe("grow", () => {
  test("--json prints every line but notices on stdout, the summary last", async () => {
    const io = new TestIo();
    expect(await grow(["--json"], io)).toBe(0);
    const printed = io.out.trimEnd().split("\n");
    expect(printed.map((line) => JSON.parse(line))).toEqual(lines.slice(1));
    expect(io.err).toBe("kasmina: engine wasm: onnxruntime-node is not installed\n");
  });

  test("without a terminal: plain lines on stderr, the report on stdout", async () => {
    const io = new TestIo();
    expect(await grow(["--run-dir", "runs/x"], io)).toBe(0);
    expect(io.err).toBe(
      [
        "engine wasm: onnxruntime-node is not installed",
        "epoch   1  train loss 0.5000  held-out loss 0.4000  accuracy 90.00 %",
        "  s1: GERMINATED → TRAINING",
        "  s1: G2_STABILITY failed: no_shadow_gain",
        "  queue_dropped  dropped=3",
        "",
      ].join("\n"),
    );
    expect(io.out).toBe(formatReport(summary, "runs/x", false));
  });

  test("--quiet prints the report alone", async () => {
    const io = new TestIo();
    await grow(["--quiet"], io);
    expect(io.err).toBe("");
    expect(io.out).toContain("97.61 %");
  });

  test("options become the configuration; what is left out is left out", async () => {
    const heard: unknown[] = [];
    const hear: Grow = async (options) => {
      heard.push(options);
      return summary;
    };
    await grow([], new TestIo(), hear);
    expect(Object.keys(heard[0] as object).sort()).toEqual(["data", "growth", "runDir", "runId"]);
    const args =
      "--data mnist --host resconv --engine native --threads 2 --epochs 3 --batch 64 --lr 1e-2".split(" ");
    const more = "--optimizer sgd --seed 7 --blueprint low-rank --slots block1,block2 --policy epoch:2".split(
      " ",
    );
    await grow([...args, ...more, "--no-growth", "--compare", "--run-dir", "here"], new TestIo(), hear);
    expect(heard[1]).toMatchObject({
      data: "mnist",
      host: "resconv",
      engine: "native",
      threads: 2,
      epochs: 3,
      batch: 64,
      lr: 0.01,
      optimizer: "sgd",
      seed: 7,
      blueprint: "low-rank",
      slots: ["block1", "block2"],
      policy: "epoch:2",
      growth: false,
      compare: true,
      runDir: "here",
    });
  });

  test("--dry-run says what a run would take, and starts none", async () => {
    const never: Grow = () => Promise.reject(new Error("it was started"));
    const args = ["--dry-run", "--engine", "wasm", "--epochs", "2"];
    const io = new TestIo();
    expect(await grow(args, io, never)).toBe(0);
    expect(io.out).toMatch(
      /^run +resmlp on spirals, classification, wasm\nrows +1,800 to train on, 200 held out, 1,000 to test\n/,
    );
    expect(io.out).toMatch(/\nslot block1 +\[16\]: mlp-residual, /);
    const json = new TestIo();
    expect(await grow([...args, "--json"], json, never)).toBe(0);
    expect(JSON.parse(json.out)).toMatchObject({ type: "plan", steps: 72 });
  });

  test("--dry-run of a run that goes on from another one is of that one's data", async () => {
    const root = await mkdtemp(join(tmpdir(), "kasmina-dry-run-"));
    const rows = Array.from({ length: 60 }, (_, i) => `${i % 7},${i % 5},${i % 2 === 0 ? "x" : "y"}`);
    const file = join(root, "t.csv");
    await writeFile(file, ["a,b,label", ...rows].join("\n"));
    const runDir = join(root, "parent");
    await growRun({ data: `csv:${file}?label=label`, engine: "wasm", epochs: 1, growth: false, runDir });
    const io = new TestIo();
    const never: Grow = () => Promise.reject(new Error("it was started"));
    expect(await grow(["--dry-run", "--from", runDir, "--engine", "wasm", "--json"], io, never)).toBe(0);
    expect(JSON.parse(io.out).data).toBe(`csv:${file}?label=label`);
    await rm(root, { recursive: true });
  });

  describe("options in a file", () => {
    let root: string;
    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), "kasmina-config-"));
    });
    afterAll(() => rm(root, { recursive: true }));

    async function heardFrom(text: string, ...more: string[]) {
      const file = join(root, "config.json");
      await writeFile(file, text);
      const io = new TestIo();
      let heard: Readonly<Record<string, unknown>> = {};
      const code = await grow(["--config", file, ...more], io, async (options) => {
        heard = options;
        return summary;
      });
      return { code, heard, err: io.err.replace(file, "config.json") };
    }

    test("are the run's, and what is typed counts more", async () => {
      const file = JSON.stringify({
        data: "mnist",
        lr: 0.1,
        growth: false,
        tags: ["a"],
        patience: 3,
        runDir: "there",
      });
      const typed = [
        "--lr",
        "0.2",
        "--weight-decay",
        "0.01",
        "--clip-norm",
        "1",
        "--time-limit",
        "2h",
        "--name",
        "mine",
      ];
      const { code, heard } = await heardFrom(file, ...typed);
      expect(code).toBe(0);
      expect(heard).toEqual({
        ...{ data: "mnist", lr: 0.2, growth: false, tags: ["a"], patience: 3, runDir: "there" },
        ...{ weightDecay: 0.01, clipNorm: 1, timeLimit: "2h", name: "mine", runId: expect.any(String) },
      });
      const tagged = await heardFrom("{}", "--tag", "a", "--tag", "b", "--no-growth");
      expect(tagged.heard).toMatchObject({ data: "spirals", tags: ["a", "b"], growth: false });
    });

    test.each([
      ["{", "config.json is not JSON: "],
      ["[]", 'config.json must hold an object of options: {"data": "spirals", …}'],
      ["null", "config.json must hold an object of options"],
      ['{"lr": 1, "lr": 2}', "config.json is not JSON: "],
      ['{"resume": "runs/x"}', "config.json: resume has no place in it; type --resume"],
    ])("%j is one line", async (text, problem) => {
      const { code, err } = await heardFrom(text);
      expect([code, err.trimEnd().split("\n")]).toEqual([2, [expect.stringContaining(problem)]]);
    });

    test("have no place beside a run that is resumed, and must be there", async () => {
      const io = new TestIo();
      expect(await grow(["--resume", "runs/x", "--config", "c.json"], io)).toBe(2);
      expect(io.err).toBe("kasmina: --config: a resumed run keeps its options; leave it out\n");
      const other = new TestIo();
      expect(await grow(["--config", join(root, "none.json")], other)).not.toBe(0);
      expect(other.err).toMatch(/^kasmina: .*none\.json.*\n$/);
    });
  });

  test.each([
    [
      ["--epoch", "3"],
      "kasmina: unknown option '--epoch' (Did you mean --epochs?); see kasmina grow --help\n",
    ],
    [["--epochs"], "kasmina: option '--epochs <n>' argument missing; see kasmina grow --help\n"],
    [["more"], "kasmina: too many arguments. Expected 0 arguments but got 1.; see kasmina grow --help\n"],
    [
      ["--log", "wandb"],
      "kasmina: --log: expected tensorboard, tensorboard:<folder>, mlflow:<url>, or mlflow with MLFLOW_TRACKING_URI, got wandb\n",
    ],
    [["--log", "mlflow:here"], "kasmina: --log: mlflow takes a URL of http or https, got here\n"],
    [
      ["--log", "mlflow:http://me:secret@host"],
      "kasmina: --log: user and password of mlflow belong into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, not into its URL\n",
    ],
  ])("%j is one line and exit code 2", async (args, message) => {
    const io = new TestIo();
    expect(await grow(args, io)).toBe(2);
    expect(io).toMatchObject({ err: message, out: "" });
  });

  test.each([
    ["invalid_argument", { key: "runDir", problem: 'must not be empty, got ""' }, 2],
    ["invalid_data", {}, 2],
    ["loss_not_finite", {}, 1],
    ["io", {}, 1],
  ] as const)("an error %s of the run is one line", async (code, details, exitCode) => {
    const io = new TestIo();
    const failing: Grow = async () => {
      throw new KasminaError(code, "it\n  broke", { details });
    };
    expect(await grow([], io, failing)).toBe(exitCode);
    const line =
      "key" in details ? '--run-dir must not be empty, got ""; see kasmina grow --help' : "it broke";
    expect(io).toMatchObject({ err: `kasmina: ${line}\n`, out: "" });
  });

  test("a bug is one line too, the stack only where it was asked for", async () => {
    const broken: Grow = async () => {
      throw new TypeError("x is undefined");
    };
    const io = new TestIo();
    expect(await grow([], io, broken)).toBe(1);
    expect(io.err).toBe("kasmina: unexpected: x is undefined (KASMINA_DEBUG=1 shows where)\n");
    const debugging = new TestIo({ KASMINA_DEBUG: "1" });
    await grow([], debugging, broken);
    expect(debugging.err).toContain("cli.test.ts");
  });

  describe("signals", () => {
    /** Runs until it is stopped. */
    const untilStopped: Grow = (_: unknown, { signal }: WorkerCallbacks) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener("abort", () => {
          reject(new KasminaError("canceled", "stopped at step 5; checkpoint in runs/x"));
        });
      });

    test.each([
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const)("%s stops the run, says where the checkpoint is, and exits with %i", async (signal, code) => {
      const io = new TestIo();
      const running = grow([], io, untilStopped);
      await expect.poll(() => io.listening).toBe(1);
      io.send(signal);
      expect(await running).toBe(code);
      expect(io.err).toContain("kasmina: stopped at step 5; checkpoint in runs/x\n");
      expect(io.exitedWith).toBeUndefined();
      expect(io.listening).toBe(0);
    });

    test("the second one ends the process at once", async () => {
      const io = new TestIo();
      void grow([], io, () => new Promise(() => {}));
      await expect.poll(() => io.listening).toBe(1);
      io.send("SIGINT");
      expect(io.exitedWith).toBeUndefined();
      io.send("SIGINT");
      expect(io.exitedWith).toBe(130);
    });

    test("a run that reaches its end all the same has finished", async () => {
      const io = new TestIo();
      const finishing: Grow = async () => {
        io.send("SIGTERM");
        return summary;
      };
      expect(await grow([], io, finishing)).toBe(0);
      expect(io.out).toContain("97.61 %");
    });
  });
});

describe("the program", () => {
  test.each([
    [["--help"], 0, "train a host network and grow it"],
    [["grow", "--help"], 0, "--run-dir <path>"],
    [["--version"], 0, "0.1.0"],
  ])("%j prints on stdout", async (args, exitCode, text) => {
    const io = new TestIo();
    expect(await runCli(args, io)).toBe(exitCode);
    expect(io.out).toContain(text);
    expect(io.err).toBe("");
  });

  test.each([
    [["grew"], "kasmina: unknown command 'grew' (Did you mean grow?); see kasmina --help\n"],
    [["--jason"], "kasmina: unknown option '--jason'; see kasmina --help\n"],
    [["inspect"], "kasmina: name the folder of a run, or --host onnx:<file>\n"],
    [["inspect", "--host", "resmlp"], "kasmina: --host must be onnx:<file>, got resmlp\n"],
    [["inspect", "/nowhere"], "kasmina: /nowhere holds no run: no run.json in it\n"],
  ])("%j is one line and exit code 2", async (args, message) => {
    const io = new TestIo();
    expect(await runCli(args, io)).toBe(2);
    expect(io).toMatchObject({ err: message, out: "" });
  });

  test("no command at all shows the help on stderr, exit code 2", async () => {
    const io = new TestIo();
    expect(await runCli([], io)).toBe(2);
    expect(io.err).toContain("Usage: kasmina");
    expect(io.out).toBe("");
  });
});

describe("the report", () => {
  test("shows the host alone beside the grown one, every seed, and the cost", () => {
    expect(formatReport(summary, "runs/x", false).split("\n").slice(1, -1)).toEqual([
      "  resmlp on mnist  6 epochs, seed 0, wasm, 1 min 42 s",
      "",
      "              test accuracy  parameters",
      "  host alone        97.12 %      29,802",
      "  host grown        97.61 %      33,994  +0.49 points",
      "",
      "  seed  blueprint     slot    stage       alpha  shadow gain  contribution",
      "  s1    mlp-residual  block1  FOSSILIZED   1.00       0.0123        0.0088",
      "  s2    low-rank      block2  DORMANT      0.00            –             –",
      "  shadow gain: what the seed takes off the held-out loss, while it trains unseen",
      "  contribution: what the loss rises by without it, once it is in the output",
      "",
      "  cost        1.23 TFLOP, 153 steps/s",
      "  commands    7 accepted, 0 rejected",
      "  isolation   0 violations, largest leak ratio 0, cosine 0",
      "  run folder  runs/x",
    ]);
  });

  test("says why a seed is culled, and nothing of its slot's embargo", () => {
    const move = (from: string, to: string, cause?: string) =>
      describeLine(
        {
          ...{ type: "event", name: "seed_stage", level: "INFO", seed_id: "s1", from, to },
          ...(cause !== undefined && { cause }),
        } as GrowthLine,
        (_, text) => text,
      );
    expect(move("TRAINING", "CULLED", "no_shadow_gain")).toBe("  s1: TRAINING → CULLED (no_shadow_gain)");
    expect(move("TRAINING", "CULLED", "command")).toBe("  s1: TRAINING → CULLED");
    for (const to of ["EMBARGOED", "RESETTING", "DORMANT"]) expect(move("CULLED", to)).toBeUndefined();
  });

  test("has one word for a seed that was culled, whatever became of its slot, and names a host that is blended", () => {
    const seeds = summary.seeds.slice(0, 1);
    const shownWith = (stage: Stage, alpha: number): string =>
      formatReport(
        { ...summary, accuracy_host_alone: null, seeds: seeds.map((seed) => ({ ...seed, stage, alpha })) },
        undefined,
        false,
      );
    for (const stage of ["CULLED", "EMBARGOED", "RESETTING"] as const)
      expect(shownWith(stage, 0)).toMatch(/s1 .* CULLED /);
    expect(shownWith("SHADOWING", 0.5)).toMatch(/^ {2}host, blended /m);
    expect(shownWith("TRAINING", 0)).toMatch(/^ {2}host {2}/m);
    expect(shownWith("CULLED", 0)).toMatch(/^ {2}host {2}/m);
  });

  test("is honest about a loss and about nothing grown", () => {
    const worse = formatReport({ ...summary, accuracy: 0.97, seeds: [] }, undefined, false);
    expect(worse).toContain("−0.12 points");
    expect(worse).toContain("no seed was germinated");
    expect(formatReport({ ...summary, accuracy_host_alone: null }, undefined, false)).not.toContain(
      "host alone",
    );
  });

  test("durations", () => {
    expect([3.14, 42, 59.7, 125, 3599.6, 3780].map(formatDuration)).toEqual([
      "3.1 s",
      "42 s",
      "60 s",
      "2 min 05 s",
      "1 h 00 min",
      "1 h 03 min",
    ]);
  });

  test("columns line up whatever colours their cells have", () => {
    const table = formatTable(
      [
        ["a", "\u001b[32mlong\u001b[39m", "x"],
        ["bbb", "c", "y"],
      ],
      ["left", "right"],
    );
    expect(table).toEqual(["a    \u001b[32mlong\u001b[39m  x", "bbb     c  y"]);
  });
});
