/** The process that traces and lowers new topologies while another one trains. */

import { readdirSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { serialize } from "node:v8";
import { idleCollector } from "../../base/garbage-collector.node.js";
import { KasminaError, messageOf } from "../../base/index.js";
import {
  type LoweringTarget,
  type ProgramDefinition,
  type TracedProgram,
  trace,
} from "../../engine/index.js";
import { lowerProgram } from "../../engine/native/index.js";
import type { Topology } from "../../network/index.js";
import type { BlueprintRegistry, Host } from "../../nn/index.js";
import { OPTIMIZERS } from "../optimizers.js";
import { loadBlueprints, loadModuleSource } from "./load-modules.node.js";
import { ofPrefix, traceTopology } from "./tracer.js";
import type { PlainProgram, TracingAnswer, TracingRequest, TracingStart } from "./tracing-protocol.js";

/** Whoever started this process ends it: what a terminal or a service manager tells both of them is the other's to obey. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"] as const;

if (!process.send) {
  throw new KasminaError("illegal_state", "tracing-process must be started by a ProcessTracer");
}

process.title = "kasmina tracer";
lowerPriority();
for (const signal of SIGNALS) process.on(signal, () => undefined);
process.once("message", serve);

/**
 * Training comes first where cores are few; while it waits for a trace it leaves them free. On Linux each thread has its own
 * priority, and V8 has several threads.
 */
function lowerPriority(): void {
  const threads = process.platform === "linux" ? readdirSync("/proc/self/task").map(Number) : [process.pid];
  for (const thread of threads) setPriority(thread, constants.priority.PRIORITY_LOW);
}

/** Loads once what is to be traced: a failure is then the answer to every request. */
function serve({ target, host, blueprints }: TracingStart): void {
  const loading = Promise.all([loadModuleSource<Host>(host), loadBlueprints(blueprints)]);
  loading.catch(() => undefined);
  const worked = idleCollector();
  process.on("message", async (request: TracingRequest) => {
    reply(await answer(target, loading, request));
    worked();
  });
}

/** Whoever asked may be gone by now: this process ends with the channel to it. */
function reply(answer: TracingAnswer): void {
  process.send?.(answer, undefined, undefined, () => undefined);
}

type LoweredStep = Omit<TracedProgram, "definition">;

function prepare(target: LoweringTarget, definition: ProgramDefinition): LoweredStep {
  const { definition: _, ...plain } = trace(definition);
  return { ...plain, lowered: lowerProgram(definition.name, plain, target) };
}

function plain(program: LoweredStep): PlainProgram {
  return { ...program, ir: serialize(program.ir) };
}

async function answer(
  target: LoweringTarget,
  loading: Promise<[Host, BlueprintRegistry]>,
  { sites, hostGradient, loss, clipNorm, ...options }: TracingRequest,
): Promise<TracingAnswer> {
  try {
    const [host, blueprints] = await loading;
    const topology: Topology = {
      host,
      hostGradient,
      ...(loss && { loss }),
      ...(clipNorm !== undefined && { clipNorm }),
      sites: sites.map(({ blueprintId, ...site }) => ({ ...site, blueprint: blueprints.get(blueprintId) })),
    };
    const optimizer = OPTIMIZERS[options.optimizer];
    const { train, evaluate, probe, prefix, proof } = traceTopology(
      topology,
      { ...options, optimizer },
      (definition) => prepare(target, definition),
    );
    return {
      programs: {
        train: plain(train),
        evaluate: plain(evaluate),
        probe: probe && plain(probe),
        prefix: prefix && ofPrefix(prefix, plain),
        proof,
      },
    };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}
