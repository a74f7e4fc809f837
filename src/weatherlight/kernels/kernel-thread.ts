/** The thread of a run's kernels: what it does never waits for a training step, nor a step for it. */

import { MessagePort, parentPort, workerData } from "node:worker_threads";
import { idleCollector } from "../../base/garbage-collector.node.js";
import { KasminaError, postableError } from "../../base/index.js";
import type { Kernel } from "../../contracts/index.js";
import { type Backend, openBackend } from "../../engine/index.js";
import { loadBlueprints } from "../../tolaria/tracing/load-modules.node.js";
import { KernelService } from "./kernel-service.js";
import { PortMessages } from "./port-messages.js";
import type { KernelThreadMessage, KernelThreadRequest, KernelThreadStart } from "./thread-kernels.js";

const port = parentPort;
if (!port) throw new KasminaError("illegal_state", "kernel-thread must be started as a worker thread");
const start = workerData as KernelThreadStart;
const post = (message: KernelThreadMessage): void => port.postMessage(message);
/** Prewarming leaves 30 MB of garbage, and a run asks for a kernel now and then. */
const worked = idleCollector();

async function open(): Promise<{ service: KernelService; backend: Backend }> {
  const { engine, threads, blueprints: sources = [], catalogPort, ...options } = start;
  const catalogService = catalogPort instanceof MessagePort ? new PortMessages(catalogPort) : undefined;
  const blueprints = await loadBlueprints(sources);
  const { backend } = await openBackend(engine, threads === undefined ? {} : { threads });
  const service = await KernelService.open({
    ...options,
    backend,
    blueprints,
    ...(catalogService && { catalogService }),
  });
  service.listen((event, metrics) => post({ kind: "event", event, metrics }));
  return { service, backend };
}

function serve({ service, backend }: { service: KernelService; backend: Backend }): void {
  const fetches = new Map<number, AbortController>();
  const answer = (id: number, work: Promise<Kernel | undefined>): void => {
    work
      .then(
        (kernel) => post({ kind: "done", id, ...(kernel && { kernel }) }),
        (error: unknown) => post({ kind: "failed", id, error: postableError(error) }),
      )
      .finally(() => {
        fetches.delete(id);
        worked();
      });
  };
  port?.on("message", (message: KernelThreadRequest) => {
    switch (message.kind) {
      case "fetch": {
        const controller = new AbortController();
        fetches.set(message.id, controller);
        answer(message.id, service.fetch(message.request, controller.signal));
        break;
      }
      case "cancel":
        fetches.get(message.id)?.abort(new KasminaError("canceled", "given up by the run"));
        break;
      case "prewarm":
        answer(
          message.id,
          service.prewarm(message.candidates, message.shapes).then(() => undefined),
        );
        break;
      case "forget":
        service.forget();
        break;
      case "close":
        answer(
          message.id,
          service.close().then(async () => {
            await backend.dispose();
            return undefined;
          }),
        );
        break;
      default:
        message satisfies never;
    }
  });
}

try {
  serve(await open());
  post({ kind: "ready" });
} catch (error) {
  post({ kind: "failed_to_start", error: postableError(error) });
}
