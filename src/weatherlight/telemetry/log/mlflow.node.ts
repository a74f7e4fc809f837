/**
 * A run as MLflow keeps it, by its REST API 2.0 (https://mlflow.org/docs/latest/rest-api.html): all runs in one experiment, each a run of
 * MLflow, which is found again by its tag when the run is resumed.
 */
import { z } from "zod";
import { codeOf } from "../../../base/disk/index.node.js";
import { KasminaError, messageOf } from "../../../base/index.js";
import type { LogPoint } from "./log-points.js";
import type { LogEnd, LoggedRun, LogTarget } from "./log-target.js";

export interface MlflowOptions {
  /** Of the tracking server: `http://127.0.0.1:5000`. */
  readonly url: URL;
  readonly experiment: string;
  /** The header of that name, never shown; undefined: none. */
  readonly authorization?: string | undefined;
}

/** Of the API: parameters in one `log-batch`, and characters of one (6,000 since MLflow 2.8). */
const MAX_PARAMS = 100;
const MAX_PARAM_CHARACTERS = 500;
/** A larger answer is none of MLflow's: it names one experiment or one run. */
const MAX_ANSWER_BYTES = 1024 * 1024;
const TOO_MANY_REQUESTS = 429;
const SERVER_ERROR = 500;

const STATUS_OF: { readonly [E in LogEnd]: string } = {
  finished: "FINISHED",
  patience: "FINISHED",
  time_limit: "KILLED",
  halted: "KILLED",
  interrupted: "KILLED",
  failed: "FAILED",
};

const RUN_TAG = "kasmina.run_id";

const errorSchema = z.object({ error_code: z.string(), message: z.string().default("") });
const experimentSchema = z.object({ experiment: z.object({ experiment_id: z.string() }) });
const newExperimentSchema = z.object({ experiment_id: z.string() });
const runSchema = z.object({ info: z.object({ run_id: z.string() }) });
const newRunSchema = z.object({ run: runSchema });
const foundRunsSchema = z.object({ runs: z.array(runSchema).default([]) });
const nothingSchema = z.object({});

/** What the server refused, with its code. */
class Refusal extends KasminaError {
  readonly errorCode: string;

  constructor(path: string, errorCode: string, message: string) {
    super("illegal_state", `${path}: ${errorCode}: ${message}`);
    this.errorCode = errorCode;
  }
}

export class MlflowTarget implements LogTarget {
  readonly name = "mlflow";
  readonly #options: MlflowOptions;
  #runId = "";

  constructor(options: MlflowOptions) {
    this.#options = options;
  }

  async open({ runId, config, startedMs }: LoggedRun, signal: AbortSignal): Promise<void> {
    const experiment_id = await this.#experiment(signal);
    const known = await this.#find(runId, experiment_id, signal);
    if (known === undefined) {
      const tags = [
        { key: RUN_TAG, value: runId },
        { key: "mlflow.source.name", value: "kasmina" },
      ];
      const asked = { experiment_id, run_name: runId, start_time: startedMs, tags };
      this.#runId = (await this.#post("runs/create", asked, newRunSchema, signal)).run.info.run_id;
    } else {
      this.#runId = known;
      await this.#post("runs/update", { run_id: known, status: "RUNNING" }, nothingSchema, signal);
    }
    // To say the same again is allowed.
    const params = paramsOf(config);
    for (let from = 0; from < params.length; from += MAX_PARAMS)
      await this.#logBatch({ params: params.slice(from, from + MAX_PARAMS) }, signal);
  }

  /** MLflow has no place for notes. */
  async write(points: readonly LogPoint[], signal: AbortSignal): Promise<void> {
    const metrics = points.flatMap((point) =>
      point.kind === "scalar"
        ? [{ key: point.tag, value: numberOf(point.value), timestamp: point.atMs, step: point.step }]
        : [],
    );
    if (metrics.length > 0) await this.#logBatch({ metrics }, signal);
  }

  async close(end: LogEnd, atMs: number, signal: AbortSignal): Promise<void> {
    const asked = { run_id: this.#runId, status: STATUS_OF[end], end_time: atMs };
    await this.#post("runs/update", asked, nothingSchema, signal);
  }

  async #logBatch(what: object, signal: AbortSignal): Promise<void> {
    await this.#post("runs/log-batch", { run_id: this.#runId, ...what }, nothingSchema, signal);
  }

  /** The id of the experiment, which is made where there is none of its name. */
  async #experiment(signal: AbortSignal): Promise<string> {
    const name = this.#options.experiment;
    const known = await this.#experimentNamed(name, signal);
    if (known !== undefined) return known;
    try {
      return (await this.#post("experiments/create", { name }, newExperimentSchema, signal)).experiment_id;
    } catch (error) {
      // Another run has made it meanwhile.
      const made = isRefusal(error, "RESOURCE_ALREADY_EXISTS")
        ? await this.#experimentNamed(name, signal)
        : undefined;
      if (made === undefined) throw error;
      return made;
    }
  }

  async #experimentNamed(name: string, signal: AbortSignal): Promise<string | undefined> {
    const path = `experiments/get-by-name?experiment_name=${encodeURIComponent(name)}`;
    try {
      return (await this.#ask(path, { method: "GET" }, experimentSchema, signal)).experiment.experiment_id;
    } catch (error) {
      if (isRefusal(error, "RESOURCE_DOES_NOT_EXIST")) return undefined;
      throw error;
    }
  }

  /** The run of MLflow that an earlier process of this run began. */
  async #find(runId: string, experiment: string, signal: AbortSignal): Promise<string | undefined> {
    const filter = `tags.\`${RUN_TAG}\` = '${runId}'`;
    const asked = { experiment_ids: [experiment], filter, max_results: 1 };
    const { runs } = await this.#post("runs/search", asked, foundRunsSchema, signal);
    return runs[0]?.info.run_id;
  }

  #post<T>(path: string, body: object, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const init = { method: "POST", body: JSON.stringify(body) };
    return this.#ask(path, init, schema, signal);
  }

  async #ask<T>(path: string, init: RequestInit, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const { url, authorization } = this.#options;
    const headers = { "content-type": "application/json", ...(authorization && { authorization }) };
    const place = new URL(`${url.pathname.replace(/\/$/, "")}/api/2.0/mlflow/${path}`, url);
    const [status, text] = await this.#answer(place, { ...init, headers, redirect: "error", signal });
    const endpoint = path.split("?")[0] ?? path;
    if (status === TOO_MANY_REQUESTS || status >= SERVER_ERROR)
      throw new KasminaError("unavailable", `${url.origin} answers ${endpoint} with HTTP ${status}`);
    const body = jsonOf(text);
    const refused = errorSchema.safeParse(body).data;
    if (refused) throw new Refusal(endpoint, refused.error_code, refused.message);
    const result = schema.safeParse(body);
    if (status === 200 && result.success) return result.data;
    throw new KasminaError(
      "invalid_data",
      `${url.origin} answers ${endpoint} as no MLflow does (HTTP ${status})`,
    );
  }

  async #answer(place: URL, init: RequestInit): Promise<readonly [number, string]> {
    try {
      const response = await fetch(place, init);
      return [response.status, await bodyOf(response)];
    } catch (error) {
      init.signal?.throwIfAborted();
      if (error instanceof KasminaError) throw error;
      const why = codeOf(messageCause(error)) || messageOf(messageCause(error));
      throw new KasminaError("unavailable", `cannot reach ${place.origin}: ${why}`, { cause: error });
    }
  }
}

/** `fetch` says "fetch failed", and why in its cause. */
function messageCause(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? error.cause : error;
}

async function bodyOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of response.body ?? []) {
    text += decoder.decode(part, { stream: true });
    if (text.length > MAX_ANSWER_BYTES)
      throw new KasminaError(
        "invalid_data",
        `an answer of more than ${MAX_ANSWER_BYTES} bytes is no MLflow's`,
      );
  }
  return text + decoder.decode();
}

/** Undefined for what is none. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRefusal(error: unknown, errorCode: string): boolean {
  return error instanceof Refusal && error.errorCode === errorCode;
}

/** As JSON has no others, the API takes these by name. */
function numberOf(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

/** Nested options by a path: `limits.kernel.latencyBudgetMs`; what was not said is left out. */
function paramsOf(config: Readonly<Record<string, unknown>>, prefix = ""): { key: string; value: string }[] {
  return Object.entries(config).flatMap(([name, value]) => {
    if (value === null || value === undefined) return [];
    const key = `${prefix}${name}`;
    if (typeof value === "object" && !Array.isArray(value))
      return paramsOf(value as Record<string, unknown>, `${key}.`);
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return [{ key, value: text.slice(0, MAX_PARAM_CHARACTERS) }];
  });
}
