/**
 * What an operator's rule is given: the node's operands and attributes. It keeps account of what the rule has read, so that
 * an operand or attribute that no rule understands is refused and never passed over.
 */
import type { JaxArray } from "../../trace.js";
import { type AttributeProto, AttributeProto_AttributeType as AttributeType } from "../gen/onnx_pb.js";
import { isFloat } from "./element-type.js";
import type { ModelNode } from "./read-model.js";
import type { StaticTensor } from "./static.js";
import { staticTensor } from "./static.js";
import { readNumbers, storedTensor } from "./tensor-proto.js";
import { arrayOf, shapeOfValue, type Value } from "./value.js";

const utf8 = new TextDecoder("utf-8", { fatal: false });

export class NodeContext {
  readonly node: ModelNode;
  /** Of the operator set that the model is written for. */
  readonly opset: number;
  readonly #inputs: readonly (Value | undefined)[];
  readonly #readInputs = new Set<number>();
  readonly #readAttributes = new Set<string>();

  constructor(node: ModelNode, opset: number, inputs: readonly (Value | undefined)[]) {
    this.node = node;
    this.opset = opset;
    this.#inputs = inputs;
  }

  get inputCount(): number {
    return this.#inputs.length;
  }

  get outputCount(): number {
    return this.node.outputs.length;
  }

  /** An operand, borrowed. @throws RangeError where it is left out */
  input(index: number): Value {
    const value = this.optionalInput(index);
    if (!value) throw new RangeError(`operand ${index} is missing`);
    return value;
  }

  optionalInput(index: number): Value | undefined {
    this.#readInputs.add(index);
    return this.#inputs[index];
  }

  /** All operands, each of which has to be there. */
  allInputs(): Value[] {
    return this.#inputs.map((_, i) => this.input(i));
  }

  /** An operand as an array that the rule owns. */
  array(index: number): JaxArray {
    return arrayOf(this.input(index));
  }

  /** A floating-point operand as an array that the rule owns. */
  floats(index: number): JaxArray {
    const value = this.input(index);
    if (!isFloat(value.type))
      throw new RangeError(`operand ${index} holds ${value.type}; only floating point is supported`);
    return arrayOf(value);
  }

  optionalArray(index: number): JaxArray | undefined {
    const value = this.optionalInput(index);
    return value && arrayOf(value);
  }

  shape(index: number): readonly number[] {
    return shapeOfValue(this.input(index));
  }

  /** An operand that has to be known before the network runs. @throws RangeError where the data decides it */
  static(index: number): StaticTensor {
    const value = this.input(index);
    if (value.kind === "static") return value;
    throw new RangeError(`operand ${index} depends on the data or on a weight; only a constant is supported`);
  }

  /** Such an operand's numbers; undefined where it is left out. */
  numbers(index: number): number[] | undefined {
    return this.optionalInput(index) ? [...this.static(index).data] : undefined;
  }

  has(name: string): boolean {
    return this.node.attributes.has(name);
  }

  int(name: string): number | undefined;
  int(name: string, fallback: number): number;
  int(name: string, fallback?: number): number | undefined {
    const attribute = this.#attribute(name, AttributeType.INT);
    return attribute ? Number(attribute.i) : fallback;
  }

  float(name: string, fallback: number): number {
    return this.#attribute(name, AttributeType.FLOAT)?.f ?? fallback;
  }

  ints(name: string): number[] | undefined {
    return this.#attribute(name, AttributeType.INTS)?.ints.map(Number);
  }

  floatList(name: string): readonly number[] | undefined {
    return this.#attribute(name, AttributeType.FLOATS)?.floats;
  }

  string(name: string, fallback: string): string {
    const attribute = this.#attribute(name, AttributeType.STRING);
    return attribute ? utf8.decode(attribute.s) : fallback;
  }

  strings(name: string): string[] | undefined {
    return this.#attribute(name, AttributeType.STRINGS)?.strings.map((one) => utf8.decode(one));
  }

  tensor(name: string): StaticTensor | undefined {
    const proto = this.#attribute(name, AttributeType.TENSOR)?.t;
    if (!proto) return undefined;
    const stored = storedTensor(proto, `${this.node.name}.${name}`);
    const data = readNumbers(stored, () => {
      throw new RangeError(`attribute ${name} lies outside of the model`);
    });
    return staticTensor(stored.type, stored.shape, data);
  }

  /** @throws RangeError unless the attribute has one of the values; the first is its default */
  oneOf<T extends string | number>(name: string, values: readonly [T, ...T[]]): T {
    const [fallback] = values;
    const given = typeof fallback === "number" ? this.int(name, fallback) : this.string(name, fallback);
    const known = values.find((value) => value === given);
    if (known === undefined)
      throw new RangeError(
        `${name} = ${given} is not supported; ${values.join(", ")} ${values.length === 1 ? "is" : "are"}`,
      );
    return known;
  }

  /** Says that an attribute changes nothing here. */
  ignore(...names: readonly string[]): void {
    for (const name of names) this.#readAttributes.add(name);
  }

  /** @throws RangeError for an operand or attribute that the rule has not read */
  checkAllRead(): void {
    const attribute = [...this.node.attributes.keys()].find((name) => !this.#readAttributes.has(name));
    if (attribute !== undefined) throw new RangeError(`its attribute ${attribute} is not supported`);
    const input = this.#inputs.findIndex((value, i) => value && !this.#readInputs.has(i));
    if (input >= 0)
      throw new RangeError(`its operand ${input} is not supported; export the model without it`);
  }

  #attribute(name: string, type: AttributeType): AttributeProto | undefined {
    this.#readAttributes.add(name);
    const attribute = this.node.attributes.get(name);
    if (!attribute) return undefined;
    if (attribute.refAttrName !== "" || attribute.type !== type) {
      throw new RangeError(
        `its attribute ${name} is a ${AttributeType[attribute.type] ?? attribute.type}, expected ${AttributeType[type]}`,
      );
    }
    return attribute;
  }
}
