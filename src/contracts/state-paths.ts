/**
 * The paths of a run's state, and the names of the controls that its programs take. A path says what a tensor is and who
 * owns it; nothing else does (docs/architecture.md, "State paths").
 *
 * | path | tensor |
 * | --- | --- |
 * | `host/<block>/<name>` | a parameter of a block of the host |
 * | `host/grown/<seed>/<name>` | a parameter of a fossilized seed, which is the host's |
 * | `seed/<seed>/<name>` | a parameter of a seed |
 * | `optimizer/<slot>/<parameter path>` | the optimizer's state of one parameter |
 * | `optimizer/count/<module>` | how often the parameters of one module (a path without its last name) were updated |
 * | `teacher/<path>` | a tensor of the frozen teacher, under its path in its own run |
 *
 * | control | scalar or vector |
 * | --- | --- |
 * | `blend/<seed>/seed_weight`, `blend/<seed>/host_weight` | what of k, and of h, is in the output, per channel [channels] |
 * | `optimizer/<group>/<hyper-parameter>` | a hyper-parameter of the host's group or of a seed's |
 */

/** What the host owns stands under it. */
export const HOST_ROOT = "host/";
/** What seeds own stands under it. */
export const SEED_ROOT = "seed/";
/** Parameters of the one frozen teacher stand under it. */
export const TEACHER_ROOT = "teacher/";
const OPTIMIZER_ROOT = "optimizer/";
/** Stands where a block's name would: below it are the fossilized seeds. */
const GROWN = "grown";

/** The module whose parameters are those of a block of the host. */
export function blockModule(block: string): string {
  return `${HOST_ROOT}${block}`;
}

/** The module of a seed's own parameters. */
export function seedModule(seedId: string): string {
  return `${SEED_ROOT}${seedId}`;
}

/** The module of a fossilized seed's parameters. */
export function grownModule(seedId: string): string {
  return `${HOST_ROOT}${GROWN}/${seedId}`;
}

export function parameterPath(module: string, name: string): string {
  return `${module}/${name}`;
}

/** Whether a path lies in a module. */
export function isInModule(module: string, path: string): boolean {
  return path.startsWith(`${module}/`);
}

/** State path of one optimizer slot of a parameter: `optimizer/momentum/host/stem/w`. */
export function slotPath(slot: string, parameter: string): string {
  return `${OPTIMIZER_ROOT}${slot}/${parameter}`;
}

/** State path of the update count that the parameters of a module share: `optimizer/count/host/stem`. */
export function countPath(module: string): string {
  return slotPath("count", module);
}

/** The module of a parameter: its path without its name. */
export function moduleOf(parameter: string): string {
  return parameter.slice(0, parameter.lastIndexOf("/"));
}

/** The parameter that a state path belongs to: its own, or that of its optimizer state; of an update count, the module. */
export function parameterOf(statePath: string): string {
  return statePath.replace(/^optimizer\/[^/]+\//, "");
}

/** The seed that owns a state path, optimizer state included; undefined where it is the host's or the teacher's. */
export function seedOf(statePath: string): string | undefined {
  const parameter = parameterOf(statePath);
  return parameter.startsWith(SEED_ROOT) ? parameter.split("/")[1] : undefined;
}

/** The group that a parameter learns in: `host`, or a seed's id. */
export function groupOf(parameter: string): string {
  return seedOf(parameter) ?? "host";
}

/** Whether a state path is the host's: a parameter, or the optimizer state of one. */
export function isHostState(statePath: string): boolean {
  return parameterOf(statePath).startsWith(HOST_ROOT);
}

/** The block of the host that a host parameter belongs to, or the fossilized seed. */
export function placeOf(
  hostParameter: string,
): { readonly block: string } | { readonly grownSeedId: string } {
  const [, block = "", seedId = ""] = hostParameter.split("/");
  return block === GROWN ? { grownSeedId: seedId } : { block };
}

interface OfSeed {
  readonly seedId: string;
}

/** Control of a seed: how much of k(h) enters the output, per channel [channels]. */
export function seedWeightControl({ seedId }: OfSeed): string {
  return `blend/${seedId}/seed_weight`;
}

/** Control of a seed with two branches to weigh: how much of h stays in the output, per channel [channels]. */
export function hostWeightControl({ seedId }: OfSeed): string {
  return `blend/${seedId}/host_weight`;
}

export const HYPER_NAMES = ["lr", "momentum", "weight_decay"] as const;

/** Control of a group's hyper-parameter; the group is `host` or a seed's id. */
export function hyperControl(group: string, name: (typeof HYPER_NAMES)[number]): string {
  return slotPath(group, name);
}

/** Whether a control is one of a group's hyper-parameters. */
export function isHyperControlOf(group: string, control: string): boolean {
  return control.startsWith(slotPath(group, ""));
}
