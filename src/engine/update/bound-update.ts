/** The update of a program on one state: where everything lies, and the kernel over it. */
import type { Tensors } from "../../contracts/tensor.js";
import type { Entry, MemoryState, Region } from "../memory-state.js";
import { type BoundKernel, type UpdateArrays, UpdateKernel } from "./kernel.js";
import { regionsOf } from "./region.js";
import { settingAt, type UpdatePlan, type UpdateTarget, valueAt } from "./rule.js";

/** Settings that were found to be there, for {@link BoundUpdate.run}: of each group, by name. */
export type UpdateSettings = readonly Readonly<Record<string, number>>[];

/** Parameters side by side in a region that are updated with the same scalars. */
interface Segment {
  readonly kernel: BoundKernel;
  readonly arrays: UpdateArrays;
  readonly clock: Clock;
}

/** What scalars depend on: the settings, and how many updates there were. */
interface Clock {
  readonly group: number;
  /** Undefined where the rule does not count. */
  readonly count: Entry | undefined;
  /** As of the last update. */
  updates: number;
  scalars: readonly number[];
}

export class BoundUpdate {
  /** Where the gradients are to be written, one for each of the lists of parameters. */
  readonly regions: readonly Region[];
  readonly #plan: UpdatePlan;
  /** What the settings are read from, once for each set of controls. */
  readonly #groups: readonly UpdateTarget["settings"][];
  readonly #clocks: readonly Clock[];
  readonly #segments: readonly Segment[];

  /**
   * @param lists the parameters, those end to end whose gradients come end to end
   * @throws KasminaError `engine` where the state has not what the plan needs
   */
  constructor(plan: UpdatePlan, state: MemoryState, lists: readonly (readonly string[])[]) {
    this.#plan = plan;
    const { slots } = plan.rule;
    const targetOf = (path: string) => valueAt(plan.targets, path);
    this.regions = regionsOf(
      state,
      lists.map((parameters) => ({
        parameters,
        slots: slots.map((slot) => parameters.map((path) => valueAt(targetOf(path).slots, slot))),
      })),
    );
    const groups = new Map<string, number>();
    const clocks = new Map<string, Clock>();
    this.#segments = this.regions.flatMap((region, r) => {
      const kernel = UpdateKernel.of(plan.rule).bind(region.memory);
      let from = 0;
      const segments = (lists[r] ?? []).map((path, i): Segment => {
        const { settings, count } = targetOf(path);
        const controls = JSON.stringify(settings);
        const group = groups.get(controls) ?? groups.size;
        groups.set(controls, group);
        const key = `${group} ${count ?? ""}`;
        const clock = clocks.get(key) ?? newClock(group, count === undefined ? undefined : state.get(count));
        clocks.set(key, clock);
        const elements = region.rows[0]?.entries[i]?.data.length ?? 0;
        const arrays = arraysOf(region, from, elements);
        from += elements;
        return { kernel, arrays, clock };
      });
      return joined(segments);
    });
    this.#groups = [...groups.keys()].map((controls) => JSON.parse(controls) as UpdateTarget["settings"]);
    this.#clocks = [...clocks.values()];
  }

  /** @throws KasminaError `engine` for a setting that is missing or no scalar */
  settingsFrom(controls: Tensors, program: string): UpdateSettings {
    const { settings } = this.#plan.rule;
    return this.#groups.map((group) =>
      Object.fromEntries(
        settings.map((setting) => [setting, settingAt(controls, valueAt(group, setting), program)]),
      ),
    );
  }

  /** Updates parameters, slots and counts in place by the gradients in the regions. */
  run(settings: UpdateSettings): void {
    for (const clock of this.#clocks) clock.scalars = this.#scalars(clock, settings);
    for (const { kernel, arrays, clock } of this.#segments) kernel.update(arrays, clock.scalars);
  }

  /** Those of modules that were updated as often are the same: the first of them has them at this update already. */
  #scalars(clock: Clock, settings: UpdateSettings): readonly number[] {
    const { rule } = this.#plan;
    clock.updates = clock.count ? countUp(clock.count) : 0;
    for (const earlier of this.#clocks) {
      if (earlier === clock) break;
      if (earlier.group === clock.group && earlier.updates === clock.updates) return earlier.scalars;
    }
    const values = rule.scalarsOf(settings[clock.group] ?? {}, clock.updates);
    return rule.scalars.map((name) => valueAt(values, name));
  }
}

function newClock(group: number, count: Entry | undefined): Clock {
  return { group, count, updates: -1, scalars: [] };
}

function countUp({ data }: Entry): number {
  const count = (data[0] ?? 0) + 1;
  data[0] = count;
  return data[0];
}

function arraysOf({ rows, gradients }: Region, from: number, elements: number): UpdateArrays {
  const addressOf = (row: Float32Array) => row.byteOffset + from * Float32Array.BYTES_PER_ELEMENT;
  const [parameters, ...slots] = rows.map(({ data }) => addressOf(data));
  if (parameters === undefined) throw new RangeError("a region has one row at least");
  return { parameter: parameters, gradient: addressOf(gradients), slots, elements };
}

/** Neighbours of one clock as one segment. */
function joined(segments: readonly Segment[]): Segment[] {
  const joint: Segment[] = [];
  for (const segment of segments) {
    const last = joint.at(-1);
    if (last?.clock !== segment.clock) joint.push(segment);
    else {
      const elements = last.arrays.elements + segment.arrays.elements;
      joint[joint.length - 1] = { ...last, arrays: { ...last.arrays, elements } };
    }
  }
  return joint;
}
