/** Brings a service up from what the command line says: bus, keys, the service itself, its health; and ends them in order. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseJsonFile, readRegularSync } from "../../base/disk/index.node.js";
import { KasminaError } from "../../base/index.js";
import {
  countKernelParameters,
  type KeyRing,
  resolveParameters,
  type SystemState,
} from "../../contracts/index.js";
import { type EngineChoice, openBackend } from "../../engine/index.js";
import { builtinBlueprints } from "../../nn/index.js";
import { type BusNotice, RedisStreamsBus } from "../../oona/index.node.js";
import {
  type Arm,
  type ArmCost,
  type GrowthCosts,
  PlateauPolicy,
  type Policy,
  RandomPolicy,
  SchedulePolicy,
} from "../../tamiyo/index.js";
import { sharedKeys } from "../control/run-keys.js";
import { CatalogService } from "./catalog-service.js";
import { closeInTime, type Service, serveHealth } from "./service.js";
import { programsSchema, type RunningProgram, type SupervisedProgram } from "./supervisor.js";
import { TamiyoService } from "./tamiyo-service.js";
import { type WeatherlightRules, WeatherlightService } from "./weatherlight-service.js";

export const SERVICE_NAMES = ["catalog", "tamiyo", "weatherlight"] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

export interface StartOptions {
  /** Of Redis. */
  readonly url: string;
  readonly prefix?: string;
  readonly health: { readonly host: string; readonly port: number };
  /** Where the keys are named: KASMINA_KEYS or KASMINA_KEY_FILE. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly catalogDir?: string;
  readonly engine: EngineChoice;
  /** Rows that kernels are prewarmed with. */
  readonly batch: number;
  /** plateau, schedule or random. */
  readonly policy: string;
  readonly rules: Partial<WeatherlightRules>;
  /** JSON file of the programs that Weatherlight starts and keeps running. */
  readonly programs?: string;
  /** Receives what people must know, a line each. Must not throw. */
  readonly say: (what: string, about: Readonly<Record<string, unknown>>) => void;
}

export interface RunningService {
  /** Where its health is served: host:port. */
  readonly address: string;
  /** @returns whether all ended in order */
  close(): Promise<boolean>;
}

/**
 * Rejects with KasminaError `invalid_argument` for what is missing or wrong, `unavailable` where Redis cannot be reached,
 * `io` for keys or a catalog that cannot be read.
 */
export async function startService(name: ServiceName, options: StartOptions): Promise<RunningService> {
  const { url, prefix, health, say } = options;
  const keys = sharedKeys(options.environment);
  const bus = await RedisStreamsBus.open({
    url,
    name,
    ...(prefix !== undefined && { prefix }),
    onNotice: (notice) => notify(say, notice),
  });
  const closers: (() => Promise<unknown>)[] = [() => bus.close()];
  const close = async (): Promise<boolean> => {
    let inOrder = true;
    for (const end of closers.splice(0).reverse()) inOrder = (await end()) !== false && inOrder;
    return inOrder;
  };
  try {
    const service = await OPEN[name](bus, keys, options, closers);
    closers.push(() => closeInTime(service));
    const { address, close: closeHealth } = await serveHealth(service, health);
    closers.push(closeHealth);
    return { address, close };
  } catch (error) {
    await close();
    throw error;
  }
}

type Open = (
  bus: RedisStreamsBus,
  keys: KeyRing,
  options: StartOptions,
  closers: (() => Promise<unknown>)[],
) => Promise<Service>;

const OPEN: { readonly [N in ServiceName]: Open } = {
  catalog: async (bus, keys, { catalogDir, engine, batch, say }, closers) => {
    if (catalogDir === undefined)
      throw new KasminaError("invalid_argument", "serve catalog: name its folder with --catalog");
    const { backend } = await openBackend(engine);
    closers.push(() => backend.dispose());
    const onProblem = (problem: string): void => say("problem", { problem });
    return CatalogService.open({ bus, keys, catalogDir, backend, batch, onProblem });
  },
  tamiyo: (bus, keys, { policy, say }) =>
    TamiyoService.open({
      bus,
      keys,
      policyFor: (id) => policyOf(policy, id),
      costs: FITTING_COSTS,
      onProblem: (problem) => say("problem", { problem }),
    }),
  weatherlight: (bus, keys, { rules, say, programs, environment }) =>
    WeatherlightService.open({
      ...{ bus, keys, rules },
      onAlert: ({ kind, ...about }) =>
        say(kind, kind === "program_given_up" ? { ...about, level: "CRITICAL" } : about),
      ...(programs !== undefined && {
        supervises: {
          programs: programsIn(programs),
          start: (program) => startProgram(program, environment),
        },
      }),
    }),
};

const MAX_BYTES = 64 * 1024;

function programsIn(path: string): readonly SupervisedProgram[] {
  return parseJsonFile(path, readRegularSync(path, { maxBytes: MAX_BYTES }), programsSchema);
}

const MAIN = fileURLToPath(new URL("../../cli/main.js", import.meta.url));

/** A `kasmina` command in a process of its own, which prints where this one does. */
function startProgram(
  { args, env }: SupervisedProgram,
  environment: StartOptions["environment"],
): RunningProgram {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...environment, ...env },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const ended = new Promise<{ code: number | null; reason: string }>((resolve) => {
    child.once("error", ({ message }) => resolve({ code: null, reason: message }));
    child.once("exit", (code, signal) =>
      resolve({ code, reason: signal ? `signal ${signal}` : `exit code ${code}` }),
    );
  });
  return { ended, stop: (now) => void child.kill(now ? "SIGKILL" : "SIGTERM") };
}

function policyOf(name: string, trainingRunId: string): Policy {
  const blueprints = builtinBlueprints.ids.map((id) => ({ id, parameters: {} }));
  if (name === "schedule") return new SchedulePolicy({ blueprints });
  if (name === "random") return new RandomPolicy({ blueprints, seed: seedOf(trainingRunId) });
  return new PlateauPolicy({ blueprints });
}

/** The same run gets the same choices. */
function seedOf(text: string): number {
  return [...text].reduce((hash, letter) => (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0, 7);
}

/**
 * What is known of an arm without the run's program: whether it fits, and its parameters. FLOPs are not known here, so
 * that a budget of FLOPs allows nothing; its share of a step is taken to be that of the parameters.
 */
const FITTING_COSTS: GrowthCosts = {
  hostFlops: () => Number.NaN,
  of({ slotId, candidate }: Arm, state: SystemState): ArmCost | undefined {
    const slot = state.slots.find(({ id }) => id === slotId);
    const blueprint = builtinBlueprints.get(candidate.id);
    if (!slot || !blueprint.supports(slot.shape)) return undefined;
    const parameters = countKernelParameters(
      blueprint,
      slot.shape,
      resolveParameters(blueprint, candidate.parameters),
    );
    return { parameters, flopsToTheEnd: Number.POSITIVE_INFINITY, stepShare: parameters / state.paramsHost };
  },
};

const NOTICE_LEVELS: { readonly [K in BusNotice["kind"]]?: string } = { lost: "CRITICAL", skew: "WARNING" };

function notify(say: StartOptions["say"], { kind, ...about }: BusNotice): void {
  const level = NOTICE_LEVELS[kind];
  say(`bus ${kind}`, level === undefined ? about : { ...about, level });
}
