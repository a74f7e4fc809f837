/** A growth run from its configuration: trains, keeps its files, compares, reports. */
import { KasminaError } from "../../base/index.js";
import type { GrowthCallbacks, Phase, Summary } from "../folder/growth-lines.js";
import type { RunFolder } from "../folder/run-folder.js";
import { grow } from "../grow/grow.js";
import type { GrowOptions } from "../grow/grow-options.js";
import type { GrowResult } from "../grow/grow-result.js";
import { type OpenRun, type RunParts, withOpenRun } from "./open-run.js";
import { RunCheckpoints } from "./run-checkpoints.js";
import { listenersOf, summarize } from "./run-reporting.js";

/**
 * As {@link GrowthRunner} says.
 * @param parts of the run that the caller brings
 */
export function runGrowth(
  options: unknown,
  callbacks: GrowthCallbacks = {},
  parts: RunParts = {},
): Promise<Summary> {
  return withOpenRun(options, callbacks, parts, train);
}

/** The host alone comes last, so that a run which is stopped has grown as far as it could. */
async function train(run: OpenRun): Promise<Summary> {
  const { runId, config, data, backend, folder } = run;
  const result = await grow({ ...growOptions(run, "grow"), ...keeping(run) });
  if (result.end === "aborted") throw stopped(`after ${result.steps} steps`, folder);
  const alone = config.compare && config.growth ? await trainAlone(run) : undefined;
  if (alone?.end === "aborted") throw stopped("while the host was trained alone", folder);
  const summary = summarize({ runId, engine: backend.name, config, data, result, alone });
  run.tell(summary);
  await folder?.writeSummary(summary);
  return summary;
}

function trainAlone(run: OpenRun): Promise<GrowResult> {
  return grow({ ...growOptions(run, "host_alone"), policy: null });
}

function stopped(when: string, folder: RunFolder | undefined): KasminaError {
  const where = folder
    ? `the checkpoint is in ${folder.checkpointPath}`
    : "no run folder, so nothing was kept";
  return new KasminaError("canceled", `stopped ${when}; ${where}`);
}

/** What ties a run to its folder and to those who command it: journal, losses, checkpoints, socket. */
function keeping(run: OpenRun): Partial<GrowOptions> {
  const { folder, access, resume, parts, kasmina } = run;
  const shared = { ...(resume && { resume }), ...(parts.commands && { commands: parts.commands }) };
  if (!folder || !access) return shared;
  const checkpoints = new RunCheckpoints(run, folder);
  return {
    ...shared,
    keys: access.keys,
    journal: access.journal,
    replay: run.replay,
    onControl: access.listen,
    onLoss: (step, loss) => folder.recordLoss(step, loss),
    onCheckpoint: async (checkpoint) => {
      const { previousKept } = await checkpoints.write(checkpoint);
      const { journalSequence } = checkpoint.kasmina;
      access.checkpointed(journalSequence, { nonceTtlMs: kasmina.nonceLedger.ttlMs, previousKept });
    },
    readCheckpoint: (step) => checkpoints.readBefore(step),
  };
}

function growOptions(run: OpenRun, phase: Phase): GrowOptions {
  const { config, tracer, kernels, teacher, signal, parts } = run;
  const { runId, host, blueprints, dataset, backend, policy } = run;
  const { epochs, batch, optimizer, seed } = config;
  return {
    ...{ runId, host, blueprints, dataset, backend, policy, epochs, batch, optimizer, seed },
    config: run.kasmina,
    ...(config.lr !== undefined && { hyper: { learningRate: config.lr } }),
    ...(teacher && { teacher }),
    ...(tracer && { tracer }),
    ...(kernels && { kernels }),
    ...(signal && { signal }),
    ...(parts.batches && { batches: parts.batches }),
    ...listenersOf(run, phase),
  };
}
