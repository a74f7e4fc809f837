/** G2, to BLENDING: is the seed fast enough, steady, and does it help on batches it never trained on? */
import { mean } from "../../base/statistics.js";
import type { Estimate } from "../../contracts/ports.js";
import { type Check, type CommonInputs, commonCheck, failing, type GateResult, judge } from "./gate.js";

/** What a seed takes at run time, and what it may. */
export interface Performance {
  /** Of a forward pass of its kernel, measured once, when it was fetched, and journaled. NaN where it has none. */
  readonly latencyP95Ms: number;
  readonly latencyBudgetMs: number;
  /** Its share of a training step's FLOPs, 0 to 1; undefined where nobody counted. */
  readonly stepShare: number | undefined;
  /** Undefined: no limit. With one, a share that nobody counted fails. */
  readonly stepShareBudget: number | undefined;
}

export type PerformanceStatus = "nominal" | "degraded";

export interface G2Inputs extends CommonInputs {
  readonly performance: Performance;
  /** The seed's shadow losses, the newest last. */
  readonly losses: readonly number[];
  /** Mean loss of the window's last quarter over the first quarter's that counts as diverging. */
  readonly divergenceRatio: number;
  /** On held-out batches; undefined where nothing was measured, which fails. */
  readonly shadowGain: Estimate | undefined;
  readonly minShadowGain: number;
  /** How many standard errors the gain must be clear of the threshold. */
  readonly confidence: number;
}

export function g2Stability(inputs: G2Inputs): GateResult {
  return judge(
    "G2_STABILITY",
    () => commonCheck(inputs),
    () => latencyCheck(inputs.performance),
    () => performanceCheck(inputs.performance),
    () => divergenceCheck(inputs),
    () => gainCheck(inputs),
  );
}

/** `degraded`: its latency has left its budget, or its share of the step has. */
export function performanceStatus(performance: Performance): PerformanceStatus {
  const { latencyP95Ms, latencyBudgetMs, stepShare = Number.NaN, stepShareBudget } = performance;
  const isNominal =
    latencyP95Ms <= latencyBudgetMs && (stepShareBudget === undefined || stepShare <= stepShareBudget);
  return isNominal ? "nominal" : "degraded";
}

/** Shared with G4. */
export function performanceCheck(performance: Performance): Check {
  const status = performanceStatus(performance);
  if (status === "nominal") return undefined;
  const { latencyP95Ms, latencyBudgetMs, stepShare, stepShareBudget } = performance;
  return failing("performance_status", {
    performance_status: status,
    latency_ms: latencyP95Ms,
    budget_ms: latencyBudgetMs,
    ...(stepShare !== undefined && { step_share: stepShare }),
    ...(stepShareBudget !== undefined && { step_share_budget: stepShareBudget }),
  });
}

/** Whether an estimate is clear of a threshold by so many standard errors; NaN and infinite ones never are. */
export function isAbove(estimate: Estimate, threshold: number, confidence: number): boolean {
  const { value, stdErr } = estimate;
  return Number.isFinite(value) && Number.isFinite(stdErr) && value - confidence * stdErr > threshold;
}

function latencyCheck({ latencyP95Ms, latencyBudgetMs }: Performance): Check {
  const withinBudget = latencyP95Ms <= latencyBudgetMs;
  return withinBudget
    ? undefined
    : failing("latency_budget_exceeded", { latency_ms: latencyP95Ms, budget_ms: latencyBudgetMs });
}

function divergenceCheck({ losses, divergenceRatio }: G2Inputs): Check {
  const broken = losses.find((loss) => !Number.isFinite(loss));
  if (broken !== undefined) return failing("loss_diverging", { loss: broken });
  const quarter = Math.floor(losses.length / 4);
  if (quarter === 0) return undefined;
  const first = mean(losses.slice(0, quarter));
  const last = mean(losses.slice(-quarter));
  return last > first * divergenceRatio
    ? failing("loss_diverging", { first_loss: first, last_loss: last })
    : undefined;
}

function gainCheck({ shadowGain, minShadowGain, confidence }: G2Inputs): Check {
  if (!shadowGain) return failing("no_shadow_gain", { measured: false });
  if (isAbove(shadowGain, minShadowGain, confidence)) return undefined;
  return failing("no_shadow_gain", {
    shadow_gain: shadowGain.value,
    std_err: shadowGain.stdErr,
    threshold: minShadowGain,
  });
}
