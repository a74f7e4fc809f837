/**
 * What a conformance suite takes from vitest, for a page: the suite is bundled with this in its place. Vitest's own expectations,
 * and as much of its runner as such a suite uses.
 */
import { ASYMMETRIC_MATCHERS_OBJECT, JestAsymmetricMatchers, JestChaiExpect } from "@vitest/expect";
import * as chai from "chai";

chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);
const asymmetric = (globalThis as unknown as Record<symbol, object>)[ASYMMETRIC_MATCHERS_OBJECT];
export const expect = Object.assign((value: unknown) => chai.expect(value), asymmetric);

type Work = () => unknown;

interface Suite {
  readonly name: string;
  readonly before: Work[];
  readonly after: Work[];
  readonly tests: { readonly name: string; readonly work: Work }[];
}

const suites: Suite[] = [];
let current: Suite | undefined;

function suite(): Suite {
  if (!current) throw new RangeError("a test stands outside of any describe");
  return current;
}

export function describe(name: string, declare: () => void): void {
  current = { name, before: [], after: [], tests: [] };
  suites.push(current);
  declare();
  current = undefined;
}

export function beforeAll(work: Work): void {
  suite().before.push(work);
}

export function afterAll(work: Work): void {
  suite().after.push(work);
}

export function test(name: string, work: Work): void {
  suite().tests.push({ name, work });
}

/** `$name` in a title is that of the case, `%s` the case itself. */
type Case = string | { readonly name: string };

function titleOf(title: string, one: Case): string {
  return typeof one === "string" ? title.replace("%s", one) : title.replace("$name", one.name);
}

test.each =
  <T extends Case>(cases: readonly T[]) =>
  (title: string, work: (one: T) => unknown): void => {
    for (const one of cases) test(titleOf(title, one), () => work(one));
  };

describe.each =
  <T extends Case>(cases: readonly T[]) =>
  (title: string, declare: (one: T) => void): void => {
    for (const one of cases) describe(titleOf(title, one), () => declare(one));
  };

export interface Outcome {
  readonly name: string;
  /** What went wrong. */
  readonly problem?: string;
}

/** Runs what was declared, in order. */
export async function runAll(): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { name, before, after, tests } of suites) {
    for (const work of before) await work();
    for (const one of tests) outcomes.push(await outcomeOf(`${name}: ${one.name}`, one.work));
    for (const work of after) await work();
  }
  return outcomes;
}

async function outcomeOf(name: string, work: Work): Promise<Outcome> {
  try {
    await work();
    return { name };
  } catch (error) {
    return { name, problem: error instanceof Error ? error.message : String(error) };
  }
}
