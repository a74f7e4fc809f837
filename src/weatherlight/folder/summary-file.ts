/** `summary.json`: the report that a run left. It may come from a stranger, so nothing of it is taken for what it ought to be. */
import { z } from "zod";
import { KasminaError } from "../../base/index.js";
import { FLOPS_PARTS, STAGES, TASK_IDS } from "../../contracts/index.js";
import { ENDED, type Summary } from "./growth-lines.js";

/** JSON has no NaN: what was not finite is null there. */
const measured = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);
const count = z.number().min(0);

const share = z.number().min(0).max(1);
const optional = share.nullable();
const errors = z.looseObject({ rmse: count, mae: count, r2: z.number().max(1) });
const metrics = z.union([
  errors.extend({ targets: z.record(z.string(), errors).optional() }),
  z.looseObject({
    average_precision: optional,
    macro_f1: share,
    micro_f1: share,
    hamming_loss: share,
    labels: z.record(
      z.string(),
      z.looseObject({ average_precision: optional, precision: share, recall: share, f1: share }),
    ),
  }),
  z.looseObject({
    accuracy: share,
    balanced_accuracy: share,
    macro_f1: share,
    micro_f1: share,
    confusion: z.array(z.array(count)).optional(),
  }),
  z.looseObject({ accuracy: share, perplexity: count, bits_per_byte: count.optional() }),
]);

const summarySchema = z.looseObject({
  type: z.literal("summary"),
  ended: z.enum(ENDED).optional(),
  run_id: z.string(),
  engine: z.string(),
  seed: z.number(),
  host: z.string(),
  data: z.string(),
  data_sha256: z.string().optional(),
  parent: z.string().optional(),
  epochs: z.number(),
  accuracy_host_alone: z.number().nullable(),
  accuracy: z.number().nullable(),
  task: z.enum(TASK_IDS).optional(),
  loss: z.number().nullable().optional(),
  metrics: metrics.nullable().optional(),
  metrics_host_alone: metrics.nullable().optional(),
  threshold: z.number().min(0).max(1).optional(),
  best: z.looseObject({ step: count, held_out_loss: z.number() }).optional(),
  params_host: count,
  params_total: count,
  flops_total: count,
  flops_by_part: z.record(z.enum(FLOPS_PARTS), count).optional(),
  steps_per_s: measured,
  wall_s: measured,
  seeds: z.array(
    z.looseObject({
      id: z.string(),
      blueprint: z.string(),
      slot: z.string(),
      stage: z.enum(STAGES),
      alpha: z.number(),
      shadow_gain: z.number().nullable(),
      contribution: z.number().nullable(),
    }),
  ),
  commands: z.looseObject({ accepted: count, rejected: count }),
  isolation: z.looseObject({ violations: count, max_leak_ratio: measured, max_cosine: measured }),
});

/** @throws KasminaError `corrupt` naming what does not fit */
export function summaryOf(value: unknown, folder: string): Summary {
  const result = summarySchema.safeParse(value);
  if (result.success) return result.data as Summary;
  const issue = result.error.issues[0];
  throw new KasminaError(
    "corrupt",
    `${folder}: summary.json is not a report: ${issue?.path.join(".")} (${issue?.message})`,
  );
}
