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

const HOSTS = {
  // Normalised, an activation has lost how large it is, and with it a part of the number that is to be told.
  resmlp: ({ task, ...shapes }) => resmlp({ ...shapes, headNorm: task !== "regression" }),
  resconv,
  charlm,
} satisfies Record<string, (task: HostTask) => Host>;

export type HostId = keyof typeof HOSTS;

export const HOST_IDS = Object.keys(HOSTS) as readonly HostId[];

/** @throws KasminaError `invalid_argument` for an unknown id, or a task that the host cannot take */
export function createHost(id: string, task: HostTask): Host {
  const create = Object.hasOwn(HOSTS, id) ? HOSTS[id as HostId] : undefined;
  if (!create)
    throw new KasminaError("invalid_argument", `unknown host ${id}; known: ${HOST_IDS.join(", ")}`);
  const { inputDType = "float32", ...of } = task;
  const host = create(of);
  if (host.inputDType === inputDType) return host;
  const [wants, gets] = inputDType === "int32" ? ["measurements", "tokens"] : ["tokens", "measurements"];
  throw new KasminaError("invalid_argument", `host ${id} takes ${wants}, but the data holds ${gets}`);
}
