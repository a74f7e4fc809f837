/** The hosts that come with Kasmina, by id. */
import { KasminaError } from "../../base/index.js";
import type { Host } from "../host.js";
import { resconv } from "./resconv.js";
import { resmlp } from "./resmlp.js";

/** What a host is made for. */
export interface HostTask {
  readonly inputShape: readonly number[];
  readonly classes: number;
}

const HOSTS = { resmlp, resconv } satisfies Record<string, (task: HostTask) => Host>;

export type HostId = keyof typeof HOSTS;

export const HOST_IDS = Object.keys(HOSTS) as readonly HostId[];

/** @throws KasminaError `invalid_argument` for an unknown id, or a task that the host cannot take */
export function createHost(id: string, task: HostTask): Host {
  const create = Object.hasOwn(HOSTS, id) ? HOSTS[id as HostId] : undefined;
  if (!create)
    throw new KasminaError("invalid_argument", `unknown host ${id}; known: ${HOST_IDS.join(", ")}`);
  return create(task);
}
