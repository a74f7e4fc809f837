/** The hosts that come with Kasmina, by id. */
import { KasminaError } from "../../base/index.js";
import type { TaskId } from "../../contracts/index.js";
import type { Host } from "../host.js";
import { charlm } from "./charlm.js";
import { resconv } from "./resconv.js";
import { resmlp } from "./resmlp.js";

/** What a host is made for. */
export interface HostTask {
  readonly inputShape: readonly number[];
  /** Default float32. */
  readonly inputDType?: Host["inputDType"];
  readonly classes: number;
  /** Default `classification`. */
  readonly task?: TaskId | undefined;
}

/** Sizes of a host that can be asked for by name, each a whole number, with their defaults. */
type Sizes = Readonly<Record<string, number>>;

interface BuiltIn<S extends Sizes = Sizes> {
  readonly sizes: S;
  create(task: HostTask, sizes: S): Host;
}

const builtIn = <S extends Sizes>(host: BuiltIn<S>): BuiltIn => host as unknown as BuiltIn;

const HOSTS = {
  resmlp: builtIn({
    sizes: { width: 16, blocks: 2 },
    // Normalised, an activation has lost how large it is, and with it a part of the number that is to be told.
    create: ({ task, ...shapes }, { width, blocks }) =>
      resmlp({ ...shapes, width, depth: blocks, headNorm: task !== "regression" }),
  }),
  resconv: builtIn({
    sizes: { width: 8, blocks: 2 },
    create: (task, { width, blocks }) => resconv({ ...task, channels: width, depth: blocks }),
  }),
  charlm: builtIn({
    sizes: { width: 64, blocks: 2, heads: 4 },
    create: (task, { width, blocks, heads }) => charlm({ ...task, d: width, layers: blocks, heads }),
  }),
} satisfies Record<string, BuiltIn>;

export type HostId = keyof typeof HOSTS;

export const HOST_IDS = Object.keys(HOSTS) as readonly HostId[];

/** Wider, or with more blocks, a net is none that this runtime trains. */
const SIZE_MAX = 16_384;

/**
 * A host by name, of its own sizes or of others: `resmlp`, `resmlp:width=128,blocks=4`. Its id says those that were asked for.
 *
 * @throws KasminaError `invalid_argument` for an unknown host or size, or a task that the host cannot take
 */
export function createHost(name: string, task: HostTask): Host {
  const { id, sizes } = parseHostName(name);
  const { inputDType = "float32", ...of } = task;
  const host = HOSTS[id].create(of, { ...HOSTS[id].sizes, ...sizes });
  if (host.inputDType !== inputDType) {
    const [wants, gets] = inputDType === "int32" ? ["measurements", "tokens"] : ["tokens", "measurements"];
    throw new KasminaError("invalid_argument", `host ${id} takes ${wants}, but the data holds ${gets}`);
  }
  return { ...host, id: canonicalName(id, sizes) };
}

function parseHostName(name: string): { readonly id: HostId; readonly sizes: Sizes } {
  const [id = "", ...rest] = name.split(":");
  if (!Object.hasOwn(HOSTS, id))
    throw new KasminaError("invalid_argument", `unknown host ${name}; known: ${HOST_IDS.join(", ")}`);
  const known = HOSTS[id as HostId].sizes;
  const sizes: Record<string, number> = {};
  for (const part of rest.length > 0 ? rest.join(":").split(",") : []) {
    const [size = "", value = ""] = part.split("=");
    const number = Number(value);
    const isSize = /^\d+$/.test(value) && number >= 1 && number <= SIZE_MAX;
    if (!Object.hasOwn(known, size) || !isSize || Object.hasOwn(sizes, size)) {
      const form = Object.entries(known).map(([key, usual]) => `${key}=${usual}`);
      throw new KasminaError(
        "invalid_argument",
        `host ${name}: "${part}" is no size of it; ${id}:${form.join(",")} are its own`,
      );
    }
    sizes[size] = number;
  }
  return { id: id as HostId, sizes };
}

/** In the order of the table, without those that are its own anyway: one host has one name. */
function canonicalName(id: HostId, sizes: Sizes): string {
  const others = Object.entries(HOSTS[id].sizes)
    .filter(([key, usual]) => (sizes[key] ?? usual) !== usual)
    .map(([key]) => `${key}=${sizes[key]}`);
  return others.length === 0 ? id : `${id}:${others.join(",")}`;
}
