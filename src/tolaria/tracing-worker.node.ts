/** The thread that traces and lowers new topologies while another one trains. */
import { constants, setPriority } from "node:os";
import { serialize } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { KasminaError, messageOf } from "../base/index.js";
import { type ProgramDefinition, type TracedProgram, trace } from "../engine/index.js";
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
// Training comes first where cores are few. Only Linux counts priority by the thread; elsewhere it would be the process's.
if (process.platform === "linux") setPriority(constants.priority.PRIORITY_BELOW_NORMAL);

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

type LoweredStep = Omit<TracedProgram, "definition">;

function prepare(definition: ProgramDefinition): LoweredStep {
  const { definition: _, ...plain } = trace(definition);
  return { ...plain, lowered: lowerProgram(definition.name, plain) };
}

function plain(program: LoweredStep): PlainProgram {
  return { ...program, ir: serialize(program.ir) };
}

async function answer({ sites, hostGradient, ...options }: TracingRequest): Promise<TracingAnswer> {
  try {
    const { host, blueprints } = await loading;
    const topology: Topology = {
      host,
      hostGradient,
      sites: sites.map(({ blueprintId, ...site }) => ({ ...site, blueprint: blueprints.get(blueprintId) })),
    };
    const optimizer = OPTIMIZERS[options.optimizer];
    const { train, evaluate, probe, proof } = traceTopology(topology, { ...options, optimizer }, prepare);
    return {
      programs: { train: plain(train), evaluate: plain(evaluate), probe: probe && plain(probe), proof },
    };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

port.on("message", async (request: TracingRequest) => port.postMessage(await answer(request)));
