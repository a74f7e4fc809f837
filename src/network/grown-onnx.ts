/**
 * A network whose host came from an ONNX file, written back into that file: weights that have learned, seeds as nodes behind
 * their slots, a new head in the place of the old one.
 */
import { numpy as np } from "@jax-js/jax";
import { KasminaError } from "../base/index.js";
import { blockModule, parameterPath, type Tensors } from "../contracts/index.js";
import type { JaxArray, ProgramDefinition } from "../engine/index.js";
import { exportOnnx } from "../engine/onnx/export-onnx.js";
import { editModel, type Graft, type NewHead, type UntiedOperand } from "../engine/onnx/import/edit-model.js";
import type { HostOrigin } from "../nn/index.js";
import { blendControlSpecs, blendSeed } from "./forward.js";
import { lookupIn } from "./gradients.js";
import { isBlended, type SeedSite, siteSpecs, sitesInOrder, slotShape, type Topology } from "./topology.js";

/** Stands before the names of what was added to the file. */
const PREFIX = "kasmina";

/**
 * The file's bytes with what has grown. Without seeds, and with a frozen host, its nodes and initializers are the file's, byte
 * for byte.
 *
 * @param tensors parameters and blend weights, by state path and control
 * @throws KasminaError `invalid_argument` where the host came from no file
 */
export function grownOnnx(
  topology: Topology,
  tensors: Tensors,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { origin } = topology.host;
  if (!origin)
    throw new KasminaError("invalid_argument", `host ${topology.host.id} did not come from an ONNX file`);
  const sites = sitesInOrder(topology).filter(isBlended);
  const grafts = sites.map((site) => graftOf(topology, origin, site, tensors));
  const head = headOf(topology, origin, tensors);
  return editModel(origin.bytes, {
    ...changedWeights(origin, tensors),
    grafts,
    ...(head && { head }),
    metadata,
  });
}

/** What differs from the file, in any bit. */
function changedWeights(origin: HostOrigin, tensors: Tensors) {
  const weights = new Map<string, Float32Array>();
  const untied: UntiedOperand[] = [];
  for (const [path, { tensor, uses, isTied, read }] of origin.parameters) {
    const now = tensors[path];
    if (!now) throw new KasminaError("invalid_argument", `no parameter ${path}`);
    const data = now.data as Float32Array;
    if (equalBits(data, read())) continue;
    if (!isTied) weights.set(tensor, data);
    else {
      const name = `${PREFIX}/${path}`;
      for (const { node, operand } of uses) untied.push({ node, operand, name, shape: now.shape, data });
    }
  }
  return { weights, untied };
}

function equalBits(a: Float32Array, b: Float32Array): boolean {
  const [x, y] = [a, b].map((one) => new Uint32Array(one.buffer, one.byteOffset, one.length));
  return x?.length === y?.length && (x?.every((word, i) => word === y?.[i]) ?? false);
}

/** A seed blended into the activation of its slot, as a model of the activation alone. */
function graftOf(topology: Topology, origin: HostOrigin, site: SeedSite, tensors: Tensors): Graft {
  const slot = origin.slots.get(site.slotId);
  if (!slot) throw new KasminaError("invalid_argument", `the file has no slot ${site.slotId}`);
  const shape = inModelLayout(slotShape(topology, site), slot.channelAxis);
  const controls = blendControlSpecs({ ...topology, sites: [site] });
  const specs = { ...siteSpecs(topology, site), ...controls };
  return {
    prefix: `${PREFIX}/${site.seedId}`,
    value: slot.value,
    model: smallModel(site.seedId, shape, origin.opset, tensors, specs, (state, x) => {
      const lookup = lookupIn(state);
      const h = np.moveaxis(x, slot.channelAxis, -1);
      return np.moveaxis(
        blendSeed({ topology, parameter: lookup, control: lookup }, site, h),
        -1,
        slot.channelAxis,
      );
    }),
  };
}

function headOf(topology: Topology, origin: HostOrigin, tensors: Tensors): NewHead | undefined {
  const { head } = origin;
  const slot = head && origin.slots.get(head.slot);
  const block = topology.host.blocks.find(({ name }) => name === head?.block);
  const before = topology.host.blocks.find(({ name }) => name === head?.slot);
  if (!head || !slot || !block || !before) return undefined;
  const path = (name: string): string => parameterPath(blockModule(block.name), name);
  const specs = Object.fromEntries(
    Object.entries(block.parameters).map(([name, { shape }]) => [
      path(name),
      { shape, dtype: "float32" as const },
    ]),
  );
  const shape = inModelLayout(before.outputShape, slot.channelAxis);
  return {
    prefix: `${PREFIX}/head`,
    from: slot.value,
    output: head.output,
    model: smallModel("head", shape, origin.opset, tensors, specs, (state, x) => {
      const own = Object.keys(block.parameters).map((name) => [name, (state[path(name)] as JaxArray).ref]);
      return block.apply(
        Object.fromEntries(own) as Record<string, JaxArray>,
        np.moveaxis(x, slot.channelAxis, -1),
      );
    }),
  };
}

/** Channels, last in a slot's shape, where the file has them. */
function inModelLayout(shape: readonly number[], channelAxis: number): readonly number[] {
  return shape.slice(0, -1).toSpliced(channelAxis - 1, 0, shape.at(-1) ?? 1);
}

function smallModel(
  name: string,
  shape: readonly number[],
  opset: number,
  tensors: Tensors,
  specs: ProgramDefinition["state"],
  compute: (state: Record<string, JaxArray>, x: JaxArray) => JaxArray,
): Uint8Array {
  const parameters = Object.fromEntries(
    Object.keys(specs).map((path) => {
      const tensor = tensors[path];
      if (!tensor) throw new KasminaError("invalid_argument", `no tensor ${path}`);
      return [path, tensor];
    }),
  );
  return exportOnnx({
    name,
    opset,
    parameters,
    definition: (batch) => ({
      name,
      state: specs,
      batch: { x: { shape: [batch, ...shape], dtype: "float32" } },
      controls: {},
      run: (state, { x }) => ({ state: {}, outputs: { y: compute(state, x as JaxArray) } }),
    }),
  });
}
