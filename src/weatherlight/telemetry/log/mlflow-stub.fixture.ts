/**
 * A tracking server that holds to MLflow's REST API 2.0 as its documentation and `mlflow/utils/validation.py` have it, and refuses what is
 * outside of it: paths, methods, fields and their types, names, limits.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";

const NAME = z
  .string()
  .min(1)
  .max(250)
  .regex(/^[/\w.\- ]+$/)
  .refine((name) => !/^\/|\/\/|\/$|(^|\/)\.\.?(\/|$)/.test(name), "must be a plain path");
const tag = z.strictObject({ key: NAME, value: z.string().max(5_000) });
const param = z.strictObject({ key: NAME, value: z.string().max(500) });
const metric = z.strictObject({
  key: NAME,
  value: z.union([z.number(), z.enum(["NaN", "Infinity", "-Infinity"])]),
  timestamp: z.int().nonnegative(),
  step: z.int(),
});
const run_id = z.string().min(1);

const REQUESTS = {
  "experiments/create": z.strictObject({ name: z.string().min(1).max(500) }),
  "runs/create": z.strictObject({
    experiment_id: z.string(),
    run_name: z.string(),
    start_time: z.int().nonnegative(),
    tags: z.array(tag),
  }),
  "runs/search": z.strictObject({
    experiment_ids: z.array(z.string()),
    filter: z.string().regex(/^tags\.`kasmina\.run_id` = '[\w.-]+'$/),
    max_results: z.int().min(1).max(50_000),
  }),
  "runs/update": z.strictObject({
    run_id,
    status: z.enum(["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]),
    end_time: z.int().optional(),
  }),
  "runs/log-batch": z.strictObject({
    run_id,
    metrics: z.array(metric).max(1_000).default([]),
    params: z.array(param).max(100).default([]),
  }),
} as const;

type Path = keyof typeof REQUESTS;
const MAX_REQUEST_BYTES = 1_000_000;

export interface StubRun {
  readonly id: string;
  readonly experiment: string;
  readonly name: string;
  readonly tags: ReadonlyMap<string, string>;
  readonly params: Map<string, string>;
  readonly metrics: z.output<typeof metric>[];
  status: string;
  endTime: number | undefined;
}

class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const invalid = (message: string): Refused => new Refused(400, "INVALID_PARAMETER_VALUE", message);

export class MlflowStub {
  readonly experiments = new Map<string, string>();
  readonly runs: StubRun[] = [];
  /** What it refused, in words; of an experiment that is not there too. */
  readonly refused: string[] = [];
  readonly authorizations = new Set<string | undefined>();
  requests = 0;
  /** Answers instead of the server, where it is there: to be down, slow or something else. */
  instead: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  readonly #server = createServer((request, response) => void this.#serve(request, response));

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests++;
    this.authorizations.add(request.headers.authorization);
    if (this.instead) return this.instead(request, response);
    const say = (status: number, body: object): void => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    try {
      say(200, await this.#answer(request));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refused.push(`${error.code}: ${error.message}`);
      say(error.status, { error_code: error.code, message: error.message });
    }
  }

  async #answer(request: IncomingMessage): Promise<object> {
    const url = new URL(request.url ?? "", "http://stub");
    const path = url.pathname.replace("/api/2.0/mlflow/", "");
    if (path === "experiments/get-by-name" && request.method === "GET") {
      const id = this.experiments.get(url.searchParams.get("experiment_name") ?? "");
      if (id === undefined) throw new Refused(404, "RESOURCE_DOES_NOT_EXIST", "no such experiment");
      return { experiment: { experiment_id: id, lifecycle_stage: "active" } };
    }
    if (!Object.hasOwn(REQUESTS, path) || request.method !== "POST")
      throw new Refused(404, "ENDPOINT_NOT_FOUND", `${request.method} ${url.pathname}`);
    return this.#post(path as Path, await textOf(request));
  }

  #post(path: Path, text: string): object {
    if (text.length > MAX_REQUEST_BYTES) throw invalid(`a request of ${text.length} bytes`);
    const read = <P extends Path>(of: P): z.output<(typeof REQUESTS)[P]> => {
      const result = REQUESTS[of].safeParse(JSON.parse(text));
      if (!result.success) throw invalid(`${path}: ${z.prettifyError(result.error)}`);
      return result.data as z.output<(typeof REQUESTS)[P]>;
    };
    switch (path) {
      case "experiments/create": {
        const { name } = read(path);
        if (this.experiments.has(name)) throw new Refused(400, "RESOURCE_ALREADY_EXISTS", name);
        const id = String(this.experiments.size + 1);
        this.experiments.set(name, id);
        return { experiment_id: id };
      }
      case "runs/create":
        return { run: { info: { run_id: this.#create(read(path)) } } };
      case "runs/search": {
        const { filter, experiment_ids } = read(path);
        const wanted = filter.split("'")[1];
        const found = this.runs.filter(
          ({ tags, experiment }) =>
            tags.get("kasmina.run_id") === wanted && experiment_ids.includes(experiment),
        );
        return found.length === 0 ? {} : { runs: found.map(({ id }) => ({ info: { run_id: id } })) };
      }
      case "runs/update": {
        const { run_id: id, status, end_time } = read(path);
        Object.assign(this.#known(id), { status, endTime: end_time });
        return { run_info: { run_id: id } };
      }
      case "runs/log-batch":
        return this.#log(read(path));
      default:
        return path satisfies never;
    }
  }

  #create({ experiment_id, run_name, tags }: z.output<(typeof REQUESTS)["runs/create"]>): string {
    if (![...this.experiments.values()].includes(experiment_id))
      throw new Refused(404, "RESOURCE_DOES_NOT_EXIST", `experiment ${experiment_id}`);
    const id = `${this.runs.length + 1}`.padStart(32, "0");
    const made = { id, experiment: experiment_id, name: run_name, params: new Map(), metrics: [] };
    const named = new Map(tags.map(({ key, value }) => [key, value]));
    this.runs.push({ ...made, tags: named, status: "RUNNING", endTime: undefined });
    return id;
  }

  #log({ run_id: id, metrics, params }: z.output<(typeof REQUESTS)["runs/log-batch"]>): object {
    if (metrics.length + params.length > 1_000) throw invalid("more than 1000 in all");
    const run = this.#known(id);
    for (const { key, value } of params) {
      if ((run.params.get(key) ?? value) !== value) throw invalid(`${key} was another value`);
      run.params.set(key, value);
    }
    run.metrics.push(...metrics);
    return {};
  }

  #known(id: string): StubRun {
    const run = this.runs.find((one) => one.id === id);
    if (!run) throw new Refused(404, "RESOURCE_DOES_NOT_EXIST", `run ${id}`);
    return run;
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of request) text += part;
  return text;
}
