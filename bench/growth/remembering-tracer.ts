/** Topologies of one task recur from run to run, and what they trace to is the same: each is traced once. */

import type { TracedProgram } from "kasmina/engine";
import type { Topology } from "kasmina/network";
import { localTracer, type TopologyTracer } from "kasmina/tolaria";

/** A topology with the program that evaluates it. */
export interface Evaluated {
  readonly topology: Topology;
  readonly evaluate: TracedProgram;
}

export class RememberingTracer implements TopologyTracer {
  readonly #known = new Map<string, ReturnType<TopologyTracer["trace"]>>();
  readonly #evaluations = new Map<TracedProgram, Evaluated>();

  trace(...[topology, options]: Parameters<TopologyTracer["trace"]>): ReturnType<TopologyTracer["trace"]> {
    const sites = topology.sites.map(({ blueprint, ...site }) => ({ ...site, blueprint: blueprint.id }));
    const key = JSON.stringify(sites);
    const traced = this.#known.get(key) ?? localTracer.trace(topology, options);
    this.#known.set(key, traced);
    void traced.then(({ train, evaluate }) => this.#evaluations.set(train, { topology, evaluate }));
    return traced;
  }

  /** Of the topology whose training step this is; undefined for any other program. */
  evaluationOf(train: TracedProgram): Evaluated | undefined {
    return this.#evaluations.get(train);
  }
}
