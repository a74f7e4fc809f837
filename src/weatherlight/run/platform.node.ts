/** Node, as a run sees it: folders, kernels in a thread, traces in a process, modules by path. */
import { join, resolve } from "node:path";
import { MessagePort } from "node:worker_threads";
import { hasFolder } from "../../base/disk/index.node.js";
import { enginePrewarmer } from "../../catalog/index.js";
import type { LoweringTarget } from "../../engine/index.js";
import type { ModuleSource } from "../../tolaria/index.js";
import { ProcessTracer } from "../../tolaria/tracing/process-tracer.node.js";
import { openRunData } from "../folder/open-run-data.node.js";
import { KernelService } from "../kernels/kernel-service.js";
import { PortMessages } from "../kernels/port-messages.js";
import { ThreadKernels } from "../kernels/thread-kernels.js";
import { FolderRun } from "./kept-run.node.js";
import { absoluteModule, loadModule } from "./load-module.node.js";
import { parentOptions, readKeptParent } from "./parent.node.js";
import type { KernelsRequest, Platform } from "./platform.js";
import { readParent, readTeacher, writeFile } from "./read-network.node.js";
import type { Sources } from "./sources.js";
import { openStoppedRun } from "./stopped-run.node.js";

export const platform: Platform = {
  openData: openRunData,
  loadModule,
  absoluteModule,
  absolutePath: (path) => resolve(path),
  openStoppedRun,
  keepRun: (path, request) => FolderRun.create(path, request),
  openKernels,
  openTracer,
  readTeacher,
  parentOptions,
  readParent,
  readKeptParent,
  writeFile,
};

/**
 * In a thread of their own, over the catalog, for a run with a folder or a catalog; built on the training thread for a run
 * without, and where a blueprint is code that no other thread can load. On a GPU over the catalog, but on the training thread: two
 * threads at work on the WebGPU provider of ONNX Runtime 1.30 end the process.
 */
async function openKernels({ config, runId, limits, sources, folder, backend, mutex }: KernelsRequest) {
  const catalogDir = config.catalog ?? (folder === undefined ? undefined : join(folder, "catalog"));
  // A link in a run folder may lead anywhere.
  if (config.catalog === undefined && catalogDir !== undefined) hasFolder(catalogDir);
  const { blueprints, blueprintModules } = sources;
  if (catalogDir === undefined) return undefined;
  const { engine, threads, batch = 1, seed, catalogPort } = config;
  const shared = { trainingRunId: runId, seed, batch, config: limits, catalogDir };
  if (backend.name === "gpu") {
    const prewarmer = enginePrewarmer(backend, { batch, alone: (round) => mutex.run(round) });
    // Who has the bus closes the port with it.
    const catalogService = catalogPort instanceof MessagePort ? new PortMessages(catalogPort) : undefined;
    return KernelService.open({
      ...{ ...shared, backend, prewarmer, blueprints },
      ...(catalogService && { catalogService }),
    });
  }
  if (!blueprintModules) return undefined;
  return ThreadKernels.open({
    ...shared,
    engine: typeof engine === "string" ? engine : engine.name,
    ...(catalogPort && { catalogPort }),
    ...(blueprintModules.length > 0 && { blueprints: blueprintModules }),
    ...(threads !== undefined && { threads }),
  });
}

function openTracer(
  sources: Sources,
  target: LoweringTarget,
  onFallback: (problem: string) => void,
): ProcessTracer | string {
  const { host, hostModule, blueprintModules, ownBlueprints } = sources;
  if (!hostModule)
    return `host ${host.id} is code that another process cannot load; module:<file>#<export> can be`;
  if (!blueprintModules)
    return `a blueprint (${ownBlueprints.join(", ")}) is code that another process cannot load; module:<file>#<export> can be`;
  return new ProcessTracer({
    target,
    host: hostModule === "built-in" ? builtinHost(sources) : hostModule,
    blueprints: blueprintModules,
    onFallback,
  });
}

/** The module of the built-in hosts, by its URL: another process makes the same one. */
function builtinHost({ host, dataset }: Sources): ModuleSource {
  const { inputShape, inputDType, classes, task } = dataset;
  const module = new URL("../../nn/index.js", import.meta.url).href;
  return { module, name: "createHost", args: [host.id, { inputShape, inputDType, classes, task }] };
}
