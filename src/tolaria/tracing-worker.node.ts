/** The thread that traces and lowers new topologies while another one trains. */
import { parentPort, workerData } from "node:worker_threads";
import { KasminaError, messageOf } from "../base/index.js";
import { type ProgramDefinition, trace } from "../engine/index.js";
import { lowerProgram } from "../engine/native/index.js";
import type { Topology } from "../kasmina/index.js";
import type { BlueprintRegistry, Host } from "../nn/index.js";
import { OPTIMIZERS } from "./optimizers.js";
import { traceTopology } from "./tracer.js";
import type {
  ModuleSource,
  PlainProgram,
  TracingAnswer,
  TracingRequest,
  TracingStart,
} from "./tracing-protocol.js";

const port = parentPort;
if (!port) throw new KasminaError("illegal_state", "tracing-worker must be started as a worker thread");
const start = workerData as TracingStart;

async function load(source: ModuleSource): Promise<unknown> {
  const exported = ((await import(source.module)) as Record<string, unknown>)[source.name];
  if (exported === undefined) {
    throw new KasminaError("invalid_argument", `${source.module} exports no ${source.name}`);
  }
  return source.args && typeof exported === "function" ? exported(...source.args) : exported;
}

// Loaded once, at the first request: a failure is then that request's answer.
const loading = Promise.all([load(start.host), load(start.blueprints)]).then(([host, blueprints]) => ({
  host: host as Host,
  blueprints: blueprints as BlueprintRegistry,
}));
loading.catch(() => undefined);

function prepare(definition: ProgramDefinition): PlainProgram {
  const { definition: _, ...plain } = trace(definition);
  return { ...plain, lowered: lowerProgram(definition.name, plain) };
}

async function answer({ id, sites, hostGradient, ...options }: TracingRequest): Promise<TracingAnswer> {
  try {
    const { host, blueprints } = await loading;
    const topology: Topology = {
      host,
      hostGradient,
      sites: sites.map(({ blueprintId, ...site }) => ({ ...site, blueprint: blueprints.get(blueprintId) })),
    };
    const optimizer = OPTIMIZERS[options.optimizer];
    return { id, programs: traceTopology(topology, { ...options, optimizer }, prepare) };
  } catch (error) {
    return { id, problem: messageOf(error) };
  }
}

port.on("message", async (request: TracingRequest) => port.postMessage(await answer(request)));
