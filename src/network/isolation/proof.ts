/**
 * The isolation proof (docs/architecture.md, "Isolation"): reachability over the traced program of a topology, before it is
 * installed. The program ends at the gradients. What becomes of them is a plan that names, for each parameter, all that its
 * update takes: its own gradient, its own optimizer state, its group's settings; the formula is one element's, so that nothing
 * else can enter it. The proof reads the names.
 *
 * | seed | what is shown |
 * | --- | --- |
 * | GERMINATED, TRAINING | nothing that is not the seed's own can depend on it: no gradient, optimizer state or metric |
 * | BLENDING, SHADOWING | no gradient or optimizer state of the host below it can depend on it |
 * | BLENDING with `hostGradient: "flow"` | the host below learns from the blended network, so its gradients may depend on the seed; not shown |
 * | BLENDING, SHADOWING, either way | no gradient can pass through the seed's branch: it is differentiable in its own parameters alone |
 * | every seed in the output | its blend weights are inputs and multiply k (and h) only: no activation enters them |
 */
import {
  hostWeightControl,
  type IsolationFailure,
  isHostState,
  isHyperControlOf,
  parameterOf,
  seedOf,
  seedWeightControl,
} from "../../contracts/index.js";
import {
  type Atom,
  type ProgramInput,
  type ProgramOutput,
  type TracedProgram,
  trace,
  type UpdatePlan,
} from "../../engine/index.js";
import {
  isBelow,
  isBlended,
  isDetached,
  isIsolated,
  isShadow,
  type SeedSite,
  sitesInOrder,
  type Topology,
} from "../topology.js";
import { branchProgram, seamKernel } from "./branches.js";
import { type Reach, reachFrom } from "./reach.js";
import { weightProblem } from "./weights-check.js";

/** What a proof shows of one seed. */
export interface IsolationClaim {
  readonly seedId: string;
  /** `host_free_of_seed`: nothing else depends on it; `host_below_free_of_seed`; `branch_detached`: `flow`, see above. */
  readonly claim: "host_free_of_seed" | "host_below_free_of_seed" | "branch_detached";
}

export type IsolationProof =
  | { readonly proven: true; readonly claims: readonly IsolationClaim[] }
  | IsolationFailure;

/** What the proof looks at: a traced program without its definition, which may be in another thread. */
export type WalkedProgram = Pick<TracedProgram, "inputs" | "outputs" | "ir">;

/** Longest path that a message spells out; of a longer one it shows both ends. */
const MAX_PATH = 16;

/**
 * Proves that the training step `traced` of a topology keeps its seeds isolated.
 * @param traced the traced `trainStepProgram`, or any program with the same state, controls and output names
 * @param update what becomes of its gradients
 */
export function proveIsolation(
  traced: WalkedProgram,
  topology: Topology,
  update: UpdatePlan | undefined,
): IsolationProof {
  const branches = trace(branchProgram(topology));
  for (const site of sitesInOrder(topology)) {
    const failure =
      gradientFailure(traced, topology, site) ??
      updateFailure(update, site) ??
      branchFailure(branches, site) ??
      weightFailure(branches, site);
    if (failure) return failure;
  }
  const isolated = sitesInOrder(topology).filter(isIsolated);
  return { proven: true, claims: isolated.map((site) => claimOf(topology, site)) };
}

function claimOf(topology: Topology, site: SeedSite): IsolationClaim {
  if (isShadow(site)) return { seedId: site.seedId, claim: "host_free_of_seed" };
  const claim = isDetached(site, topology) ? "host_below_free_of_seed" : "branch_detached";
  return { seedId: site.seedId, claim };
}

/** The first result of the step that depends on an isolated seed and must not. */
function gradientFailure(
  traced: WalkedProgram,
  topology: Topology,
  site: SeedSite,
): IsolationFailure | undefined {
  if (!isIsolated(site)) return undefined;
  const reach = reachFrom(
    traced.ir,
    inputIds(traced, (input) => isOf(site, input)),
  );
  for (const [i, output] of traced.outputs.entries()) {
    const atom = traced.ir.outputs[i];
    if (!atom || !reach.has(atom) || !isForbidden(topology, site, output)) continue;
    const path = [...wayTo(traced, reach, atom), output.name];
    return fail(site, path, `${output.name} may depend on ${path[0]}`);
  }
  return undefined;
}

function isForbidden(
  topology: Topology,
  site: SeedSite,
  output: Pick<ProgramOutput, "role" | "name">,
): boolean {
  const { role, name } = output;
  if (isShadow(site)) return role === "output" ? !name.endsWith(`/${site.seedId}`) : !isStateOf(site, name);
  if (!isDetached(site, topology) || role === "output" || !isHostState(name)) return false;
  return isBelow(topology, site, parameterOf(name));
}

/** Whatever of the seed would enter another's update, or be changed by one of the seed's that is another's. */
function updateFailure(update: UpdatePlan | undefined, site: SeedSite): IsolationFailure | undefined {
  if (!isIsolated(site)) return undefined;
  for (const [parameter, { slots, count, settings }] of Object.entries(update?.targets ?? {})) {
    const isOwn = isStateOf(site, parameter);
    const state = [...Object.values(slots), ...(count === undefined ? [] : [count])];
    const foreign =
      state.find((path) => isStateOf(site, path) !== isOwn) ??
      Object.values(settings).find((control) => isHyperControlOf(site.seedId, control) && !isOwn);
    if (foreign === undefined) continue;
    const path = isOwn ? [parameter, foreign] : [foreign, parameter];
    return fail(site, path, `the update of ${parameter} takes ${foreign}`);
  }
  return undefined;
}

/** What of the host a gradient could reach through the seed's branch. */
function branchFailure(branches: WalkedProgram, site: SeedSite): IsolationFailure | undefined {
  if (!isIsolated(site) || isShadow(site)) return undefined;
  const others = inputIds(branches, ({ role, name }) => role === "state" && !isStateOf(site, name));
  const reach = reachFrom(branches.ir, others, "stop_gradient");
  const kernel = branches.outputs.findIndex(({ name }) => name === seamKernel(site));
  const atom = branches.ir.outputs[kernel];
  if (!atom || !reach.has(atom)) return undefined;
  const path = [...wayTo(branches, reach, atom), "k"];
  return fail(site, path, `its branch passes a gradient to ${path[0]}`);
}

function weightFailure(branches: WalkedProgram, site: SeedSite): IsolationFailure | undefined {
  const problem = isBlended(site) ? weightProblem(branches, site) : undefined;
  if (!problem) return undefined;
  return fail(site, [problem.control, problem.primitive], "its blend weight is not an input alone");
}

/** From the name of the input where a reached value comes from, primitive by primitive. */
function wayTo(traced: WalkedProgram, reach: Reach, atom: Atom): string[] {
  const source = traced.ir.inputs.findIndex(({ id }) => id === reach.sourceOf(atom));
  return [traced.inputs[source]?.name ?? "input", ...reach.pathTo(atom)];
}

function fail(site: SeedSite, path: readonly string[], what: string): IsolationFailure {
  const { seedId, blueprint, slotId, part } = site;
  const message = `seed ${seedId} (${blueprint.id} in ${slotId}, ${part}) is not isolated: ${what}: ${abridged(path)}`;
  return { proven: false, seedId, path, message };
}

function abridged(path: readonly string[]): string {
  const half = MAX_PATH / 2;
  const shown =
    path.length <= MAX_PATH
      ? path
      : [...path.slice(0, half), `… ${path.length - MAX_PATH} more …`, ...path.slice(-half)];
  return shown.join(" → ");
}

function inputIds(traced: WalkedProgram, chosen: (input: ProgramInput) => boolean): number[] {
  return traced.ir.inputs.flatMap(({ id }, i) => {
    const input = traced.inputs[i];
    return input && chosen(input) ? [id] : [];
  });
}

/** Whether an input is the seed's: a parameter, its optimizer state, a blend weight or a hyper-parameter. */
function isOf(site: SeedSite, { role, name }: ProgramInput): boolean {
  if (role === "state") return isStateOf(site, name);
  const own = [seedWeightControl(site), hostWeightControl(site)];
  return role === "controls" && (own.includes(name) || isHyperControlOf(site.seedId, name));
}

function isStateOf(site: SeedSite, statePath: string): boolean {
  return seedOf(statePath) === site.seedId;
}
