/** `grow()`: the one way to train a network and grow it, for programs and for the command line. */
import { platform } from "#platform";
import { taskOf } from "../../contracts/index.js";
import { openBackend } from "../../engine/index.js";
import type { Evaluation } from "../../network/index.js";
import { dataMetadata, dataReading } from "../folder/data-record.js";
import { GrownNetwork } from "../grow/grown-network.js";
import type { RunOutcome } from "../grow/run-outcome.js";
import type { RunSetup } from "../grow/run-setup.js";
import { trainRun } from "../grow/train-run.js";
import { checkpointInterval, timeLimitMs } from "./grow-config.js";
import type { GrowOptions, GrowPhase } from "./grow-options.js";
import { type GrowEnd, type GrowResult, grownSeed } from "./grow-result.js";
import { type OpenRun, setupOf, withOpenRun } from "./open-run.js";
import { lineCallbacks, listenersOf, summaryLine } from "./reporting.js";

/**
 * Trains a host network and grows it, to the end of the run.
 *
 * @throws KasminaError `invalid_argument` or `invalid_data` before anything is written; `loss_not_finite` and others where
 * the run failed
 *
 * @example
 * ```ts
 * import { grow } from "kasmina";
 *
 * const run = await grow({ data: "spirals", epochs: 30 });
 * console.log(run.accuracy, run.seeds);
 * const { labels } = await run.network.predict([[0.1, -0.2]]);
 * await run.network.toOnnx("grown.onnx");
 * ```
 */
export function grow(options: GrowOptions): Promise<GrowResult> {
  return withOpenRun(options, train);
}

/** The host alone comes last, so that a run which is stopped has grown as far as it could. */
async function train(run: OpenRun): Promise<GrowResult> {
  const { config, kept } = run;
  const outcome = await trainRun({ ...setupOf(run), ...listenersFor(run, "grow"), ...tiesOf(run) });
  const isOver = outcome.end === "finished" || outcome.end === "patience";
  const compares = config.compare && config.growth && isOver;
  const alone = compares
    ? await trainRun({ ...setupOf(run), ...listenersFor(run, "hostAlone"), policy: null })
    : undefined;
  kept?.requireThere();
  const result = await resultOf(run, outcome, alone);
  if (kept) {
    const summary = summaryLine(result);
    kept.append(summary);
    kept.requireThere();
    await kept.writeSummary(summary);
  }
  return result;
}

/** Who listens to a training: the run's folder, and its caller. */
function listenersFor({ kept, config }: OpenRun, phase: GrowPhase) {
  const record = kept && ((line: Parameters<typeof kept.append>[0]): void => kept.append(line));
  const files =
    record &&
    lineCallbacks((line) => (line.type === "step" || line.type === "notice" ? undefined : record(line)));
  return {
    ...listenersOf(files ? [files, config] : [config], phase, record, config.clock),
    ...signalOf(config, kept),
  };
}

/** The caller's, and that of a folder which is lost. */
function signalOf({ signal }: OpenRun["config"], kept: OpenRun["kept"]): Pick<RunSetup, "signal"> {
  const signals = [...(signal ? [signal] : []), ...(kept ? [kept.lost] : [])];
  return signals.length > 0 ? { signal: AbortSignal.any(signals) } : {};
}

/** What ties the growing run to its folder and to those who command it. */
function tiesOf({ kept, stopped, config, recorded, sources, limits }: OpenRun): Partial<RunSetup> {
  const ties = kept?.ties(recorded, sources, limits) ?? {};
  const limitMs = timeLimitMs(config);
  return {
    ...ties,
    ...(limitMs !== undefined && { timeLimitMs: limitMs }),
    ...(kept && { checkpointEvery: checkpointInterval(config) }),
    ...(stopped?.checkpoint && { resume: stopped.checkpoint }),
    ...(config.commands && { commands: config.commands }),
    ...(config.keys && { keys: config.keys }),
    onControl: (control) => {
      ties.onControl?.(control);
      config.onControl?.(control);
    },
  };
}

async function resultOf(
  run: OpenRun,
  outcome: RunOutcome,
  alone: RunOutcome | undefined,
): Promise<GrowResult> {
  const { runId, config, backend, sources, kept, recorded, lineage } = run;
  const { dataset, data } = sources;
  const { bestNetwork } = outcome.checkpoint;
  const { network, evaluation } = await evaluated(run, outcome);
  const ofHostAlone = alone && (await evaluated(run, alone)).evaluation;
  return {
    runId,
    ended: endOf(outcome, alone),
    engine: backend.name,
    host: String(recorded.host),
    data: String(recorded.data),
    ...(data && { dataSha256: data.sha256 }),
    ...(lineage && { parent: lineage.sha256 }),
    seed: config.seed,
    epochs: config.epochs,
    accuracy: accuracyOf(evaluation),
    testLoss: evaluation?.loss ?? outcome.testLoss,
    accuracyHostAlone: alone ? accuracyOf(ofHostAlone) : null,
    task: taskOf(dataset),
    metrics: evaluation?.metrics ?? null,
    metricsHostAlone: ofHostAlone?.metrics ?? null,
    ...(network.threshold !== undefined && { threshold: network.threshold }),
    ...(bestNetwork && { best: { step: bestNetwork.step, heldOutLoss: bestNetwork.heldOutLoss } }),
    steps: outcome.steps,
    stepsPerSecond: outcome.stepsPerSecond,
    wallSeconds: outcome.wallSeconds + (alone?.wallSeconds ?? 0),
    paramsHost: outcome.paramsHost,
    paramsTotal: outcome.paramsTotal,
    flopsTotal: outcome.flopsTotal,
    ...(outcome.flopsByPart && { flopsByPart: outcome.flopsByPart }),
    seeds: outcome.seeds.map(grownSeed),
    commands: outcome.commands,
    isolation: outcome.isolation,
    network,
    ...(kept && { runDir: kept.path }),
  };
}

/** The network of a run, and what the test rows say of it where it came to an end. */
async function evaluated(run: OpenRun, outcome: RunOutcome) {
  const { config, backend, sources } = run;
  const plain = networkOf(run, outcome);
  if (Number.isNaN(outcome.testLoss)) return { network: plain, evaluation: undefined };
  const { heldOut, test } = sources.dataset;
  const network = config.threshold
    ? networkOf(run, outcome, await plain.thresholdOn(heldOut, config.threshold, backend))
    : plain;
  return { network, evaluation: await network.evaluate(test, backend) };
}

/** NaN where there is none. */
function accuracyOf(evaluation: Evaluation | undefined): number {
  return evaluation && "accuracy" in evaluation.metrics ? evaluation.metrics.accuracy : Number.NaN;
}

function networkOf(
  { runId, config, sources, lineage }: OpenRun,
  { checkpoint }: RunOutcome,
  threshold?: number,
): GrownNetwork {
  const { host, blueprints, dataset, data } = sources;
  const { engine, threads } = config;
  return new GrownNetwork({
    host,
    blueprints,
    checkpoint,
    runId,
    ...(lineage && { parent: lineage.sha256 }),
    task: taskOf(dataset),
    targets: dataset.targets,
    threshold,
    ...(dataset.classNames && { classNames: dataset.classNames }),
    ...(dataset.tokenizer !== undefined && { tokenizer: dataset.tokenizer }),
    ...(data && { metadata: dataMetadata(data, dataset.tokenizer), reading: dataReading(data) }),
    services: {
      openEngine: async () =>
        typeof engine === "string"
          ? { backend: (await openBackend(engine, threads ? { threads } : {})).backend, owned: true }
          : { backend: engine, owned: false },
      writeFile: platform.writeFile,
    },
  });
}

function endOf({ end }: RunOutcome, alone: RunOutcome | undefined): GrowEnd {
  return end === "aborted" || alone?.end === "aborted" ? "interrupted" : end;
}
