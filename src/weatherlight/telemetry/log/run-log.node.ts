/** A run as `kasmina grow --log` hands it to TensorBoard and MLflow, off the training thread. */
import { z } from "zod";
import { type Clock, KasminaError, messageOf, systemClock } from "../../../base/index.js";
import { readRunFolder } from "../../folder/run-folder.js";
import { type LoggedLine, LogPoints } from "./log-points.js";
import { LogQueue } from "./log-queue.js";
import type { LogEnd, LogTarget } from "./log-target.js";
import { MlflowTarget } from "./mlflow.node.js";
import { TensorboardTarget } from "./tensorboard.node.js";

const FORMS = "tensorboard, tensorboard:<folder>, mlflow:<url>, or mlflow with MLFLOW_TRACKING_URI";
const DEFAULT_EXPERIMENT = "kasmina";

type Environment = Readonly<Record<string, string | undefined>>;

const aboutSchema = z.object({
  run_id: z.string(),
  config: z.looseObject({ epochs: z.number() }),
});

/**
 * What `--log` names.
 * @throws KasminaError `invalid_argument` where it is none of what can be logged to
 */
export function logTarget(text: string, env: Environment): LogTarget {
  const [, kind, place] = /^(tensorboard|mlflow)(?::(.+))?$/.exec(text) ?? [];
  if (kind === "tensorboard") return new TensorboardTarget(place);
  const uri = place ?? env.MLFLOW_TRACKING_URI;
  if (kind !== "mlflow" || uri === undefined)
    throw new KasminaError("invalid_argument", `--log: expected ${FORMS}, got ${text}`);
  return new MlflowTarget({
    url: trackingServer(uri),
    experiment: env.MLFLOW_EXPERIMENT_NAME ?? DEFAULT_EXPERIMENT,
    authorization: authorizationOf(env),
  });
}

function trackingServer(uri: string): URL {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (!url || !["http:", "https:"].includes(url.protocol))
    throw new KasminaError("invalid_argument", `--log: mlflow takes a URL of http or https, got ${uri}`);
  // Command lines are seen by whoever is on the machine.
  if (url.username !== "" || url.password !== "")
    throw new KasminaError(
      "invalid_argument",
      "--log: user and password of mlflow belong into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, not into its URL",
    );
  return url;
}

/** As MLflow's own clients have it. */
function authorizationOf(env: Environment): string | undefined {
  const {
    MLFLOW_TRACKING_USERNAME: user,
    MLFLOW_TRACKING_PASSWORD: password,
    MLFLOW_TRACKING_TOKEN: token,
  } = env;
  if (user !== undefined && password !== undefined)
    return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  return token === undefined ? undefined : `Bearer ${token}`;
}

export interface RunLogOptions {
  /** Of the run; it is there when the run says its first line. */
  readonly folder: string;
  readonly targets: readonly LogTarget[];
  /** Is told once of each target what fails, and once more at the end what is lost. */
  readonly onProblem: (problem: string) => void;
  readonly clock?: Clock;
}

/** The lines of a run on their way to where it is logged. Nothing here ever throws, rejects, or is waited for by the run. */
export class RunLog {
  readonly #options: RunLogOptions;
  readonly #clock: Clock;
  readonly #startedMs: number;
  #opening: Promise<void> | undefined;
  /** Undefined until the run's folder is read. */
  #points: LogPoints | undefined;
  #early: [line: LoggedLine, atMs: number][] = [];
  #queues: readonly LogQueue[] = [];

  constructor(options: RunLogOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#startedMs = this.#clock.nowMs();
  }

  record(line: LoggedLine): void {
    const atMs = this.#clock.nowMs();
    if (this.#points) this.#take(this.#points, line, atMs);
    else this.#early.push([line, atMs]);
    this.#opening ??= this.#open();
  }

  /** Returns when all is logged, or after a few seconds. */
  async close(end: LogEnd): Promise<void> {
    await this.#opening;
    for (const queue of this.#queues) queue.add(this.#points?.rest() ?? []);
    await Promise.all(this.#queues.map((queue) => queue.close(end)));
  }

  async #open(): Promise<void> {
    const { folder, targets, onProblem } = this.#options;
    let epochs = 0;
    try {
      const { path, about } = await readRunFolder(folder);
      const { run_id: runId, config } = aboutSchema.parse(about);
      const run = {
        folder: path,
        runId,
        config,
        startedMs: this.#startedMs,
        firstStep: firstStepOf(this.#early),
      };
      this.#queues = targets.map((target) => new LogQueue(target, run, { clock: this.#clock, onProblem }));
      epochs = config.epochs;
    } catch (error) {
      onProblem(`the run is not logged: ${messageOf(error)}`);
    }
    this.#points = new LogPoints(epochs);
    for (const [line, atMs] of this.#early) this.#take(this.#points, line, atMs);
    this.#early = [];
  }

  #take(points: LogPoints, line: LoggedLine, atMs: number): void {
    const made = points.of(line, atMs);
    for (const queue of this.#queues) queue.add(made);
  }
}

function firstStepOf(lines: readonly (readonly [LoggedLine, number])[]): number {
  const steps = lines.flatMap(([line]) => ("step" in line ? Number(line.step) : []));
  return steps[0] ?? 0;
}
