/** A host: an ordered list of blocks, with a slot after each block that allows one. */
import { KasminaError } from "../base/index.js";
import { blockModule, parameterPath, type Tensors } from "../contracts/index.js";
import type { JaxArray } from "../engine/index.js";
import { countParameters, initParameters, type ParameterSpecs, type Parameters } from "./parameters.js";

/**
 * One step of a host: named parameters and a pure function of them.
 *
 * @example
 * ```ts
 * import { defineBlock } from "kasmina";
 * import { nn, numpy as np } from "@jax-js/jax";
 * import { heNormal, zeros } from "kasmina/nn";
 *
 * const layer = defineBlock({
 *   name: "layer1",
 *   parameters: { w: { shape: [8, 2], init: heNormal }, b: { shape: [8], init: zeros } },
 *   outputShape: [8],
 *   slot: true,
 *   apply: ({ w, b }, x) => nn.relu(np.dot(x, w.transpose()).add(b)),
 * });
 * ```
 */
export interface Block<P extends string = string> {
  /** Unique in its host; the slot after the block bears it too. Letters, digits, `-`, `_`. */
  readonly name: string;
  readonly parameters: ParameterSpecs<P>;
  /**
   * Parameters of earlier blocks that this one reads too, under names of its own that `parameters` does not have. They learn
   * where their block does, from the gradients of both.
   */
  readonly shared?: Readonly<Record<string, SharedParameter>>;
  /** What its result is called where it came from, for people. */
  readonly title?: string;
  /** Shape of what the block gives, without the batch axis. */
  readonly outputShape: readonly number[];
  /** Whether seeds may be grafted after this block. Default false. */
  readonly slot?: boolean;
  /** Pure; consumes x [batch, ...]. Parameters arrive with a reference each: `.ref` one that is used twice. */
  apply(parameters: Parameters<P>, x: JaxArray): JaxArray;
}

/** A parameter by its owner. */
export interface SharedParameter {
  readonly block: string;
  readonly name: string;
}

/**
 * A network that can be grown: an ordered list of blocks, as {@link defineHost} checks it.
 *
 * @example
 * ```ts
 * import type { Host } from "kasmina";
 *
 * const slotsOf = (host: Host) => host.blocks.filter((block) => block.slot).map((block) => block.name);
 * ```
 */
export interface Host {
  readonly id: string;
  /** Shape of one input, without the batch axis. */
  readonly inputShape: readonly number[];
  /** float32 for measurements, int32 for tokens. */
  readonly inputDType: "float32" | "int32";
  /** The last axis of the logits. */
  readonly classes: number;
  readonly blocks: readonly Block[];
  /** The file that it was read from, where it was. */
  readonly origin?: HostOrigin;
}

/** An ONNX file, and where in it the parts of a host stand. */
export interface HostOrigin {
  readonly bytes: Uint8Array;
  readonly opset: number;
  /** Activations of slots, by id: the name of the value, and which of its axes holds the channels, the batch counted. */
  readonly slots: ReadonlyMap<string, { readonly value: string; readonly channelAxis: number }>;
  /** Parameters by state path. */
  readonly parameters: ReadonlyMap<string, OriginParameter>;
  /** A head that is not the file's: what it reads, its block, and the output that it gives instead. */
  readonly head?: { readonly slot: string; readonly block: string; readonly output: string };
}

export interface OriginParameter {
  /** Name of the initializer, or of the Constant node's output. */
  readonly tensor: string;
  /** Where it is read: place of the node in the file, and of the operand. */
  readonly uses: readonly { readonly node: number; readonly operand: number }[];
  /** Whether other parameters began as the same tensor. */
  readonly isTied: boolean;
  /** Its elements in the file: a copy. */
  read(): Float32Array;
}

/** A place in a host where seeds live: right after the block of the same name. */
export interface HostSlot {
  readonly id: string;
  /** Shape of the activation there, without the batch axis. */
  readonly shape: readonly number[];
  /** Index of its block in the host, counted from 0. */
  readonly depth: number;
  /** What the activation is called where the host came from, for people. */
  readonly title?: string;
}

const NAME = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * Checks a host and returns it. The last block must give [..., classes] and have no slot; names are unique; at
 * least one block has a slot.
 * @throws KasminaError `invalid_argument` naming the block
 *
 * @example
 * ```ts
 * import { defineBlock, defineHost } from "kasmina";
 * import { numpy as np } from "@jax-js/jax";
 * import { heNormal } from "kasmina/nn";
 *
 * const linear = (name: string, from: number, to: number, slot: boolean) =>
 *   defineBlock({
 *     name,
 *     parameters: { w: { shape: [to, from], init: heNormal } },
 *     outputShape: [to],
 *     slot,
 *     apply: ({ w }, x) => np.dot(x, w.transpose()),
 *   });
 * const host = defineHost({
 *   id: "mine",
 *   inputShape: [2],
 *   classes: 3,
 *   blocks: [linear("stem", 2, 8, true), linear("head", 8, 3, false)],
 * });
 * ```
 */
export function defineHost(
  host: Omit<Host, "inputDType"> & { readonly inputDType?: Host["inputDType"] },
): Host {
  const names = host.blocks.map((block) => block.name);
  const fail = (what: string): never => {
    throw new KasminaError("invalid_argument", `host ${host.id}: ${what}`);
  };
  for (const [i, block] of host.blocks.entries()) checkShared(block, host.blocks.slice(0, i), fail);
  for (const [i, name] of names.entries()) {
    if (!NAME.test(name)) fail(`block name "${name}" may hold letters, digits, - and _ only`);
    if (name === "grown") fail(`block name "grown" is kept for fossilized seeds`);
    if (names.indexOf(name) !== i) fail(`two blocks are named ${name}`);
  }
  const last = host.blocks.at(-1);
  if (last?.outputShape.at(-1) !== host.classes)
    fail(`the last block must give [..., ${host.classes}] (the classes)`);
  if (last?.slot) fail(`the last block, ${last.name}, gives the logits and can have no slot`);
  if (!host.blocks.some((block) => block.slot)) fail("no block has a slot, so nothing could grow");
  return { inputDType: "float32", ...host };
}

/** What a block shares is a parameter of a block before it, under a name that is free. */
function checkShared(block: Block, before: readonly Block[], fail: (what: string) => never): void {
  for (const [name, owner] of Object.entries(block.shared ?? {})) {
    const isThere = before.some(
      (one) => one.name === owner.block && Object.hasOwn(one.parameters, owner.name),
    );
    if (!isThere)
      fail(`block ${block.name} shares ${owner.name} of ${owner.block}, which no block before it has`);
    if (Object.hasOwn(block.parameters, name)) fail(`block ${block.name} has two parameters named ${name}`);
  }
}

/**
 * Lets TypeScript infer a block's parameter names, so that `apply` sees them typed.
 *
 * @example
 * ```ts
 * import { defineBlock } from "kasmina";
 * import { numpy as np } from "@jax-js/jax";
 * import { heNormal } from "kasmina/nn";
 *
 * const head = defineBlock({
 *   name: "head",
 *   parameters: { w: { shape: [3, 8], init: heNormal } },
 *   outputShape: [3],
 *   apply: ({ w }, x) => np.dot(x, w.transpose()),
 * });
 * ```
 */
export function defineBlock<P extends string>(block: Block<P>): Block {
  return block as unknown as Block;
}

/** The slots of a host, in host order. */
export function slotsOf(host: Host): HostSlot[] {
  return host.blocks.flatMap((block, depth) =>
    block.slot
      ? [{ id: block.name, shape: block.outputShape, depth, ...(block.title && { title: block.title }) }]
      : [],
  );
}

/** For each parameter that a block reads, by the name it has there, the path of it in a state. */
export function parameterPathsOf(block: Block): ReadonlyMap<string, string> {
  const own = Object.keys(block.parameters).map((name): [string, string] => [
    name,
    parameterPath(blockModule(block.name), name),
  ]);
  const shared = Object.entries(block.shared ?? {}).map(([name, owner]): [string, string] => [
    name,
    parameterPath(blockModule(owner.block), owner.name),
  ]);
  return new Map([...own, ...shared]);
}

/** Paths of the parameters that never learn. */
export function frozenPaths(host: Host): ReadonlySet<string> {
  return new Set(
    host.blocks.flatMap((block) =>
      Object.entries(block.parameters).flatMap(([name, { trainable = true }]) =>
        trainable ? [] : [parameterPath(blockModule(block.name), name)],
      ),
    ),
  );
}

/** Initial parameters by path, `host/<block>/<name>`. */
export function initHost(host: Host, seed: number): Tensors {
  return Object.assign(
    {},
    ...host.blocks.map((block) => initParameters(block.parameters, blockModule(block.name), seed)),
  );
}

/** Number of scalars in a host's parameters. */
export function countHostParameters(host: Host): number {
  return host.blocks.reduce((sum, block) => sum + countParameters(block.parameters), 0);
}

/** Predictions per example: 1, or the sequence length where the host gives logits at every position. */
export function labelShape(host: Host): readonly number[] {
  return host.blocks.at(-1)?.outputShape.slice(0, -1) ?? [];
}
