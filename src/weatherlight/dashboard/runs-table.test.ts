import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RunRow } from "./runs.node.js";
import { runsForm, runsTable } from "./runs-table.js";

const ROW: RunRow = {
  name: "",
  title: "",
  tags: [],
  state: "finished",
  startedMs: 0,
  ageMs: 0,
  host: "resmlp",
  data: "spirals",
  seed: "1",
  step: 100,
  loss: 0.5,
  score: undefined,
  parameters: 1,
  flops: 1,
  seeds: 0,
  group: "",
};
const rows = Array.from({ length: 100 }, (_, i) => ({
  ...ROW,
  name: `run-${i}`,
  data: i % 2 ? "mnist" : "spirals",
  loss: i === 7 ? undefined : (i * 37) % 100,
  group: String(i),
}));

function shown(query: string, of: readonly RunRow[] = rows): string[] {
  const text = runsTable(of, new URLSearchParams(query));
  return [...text.matchAll(/name="run" value="([^"]*)"/g)].map(([, name = ""]) => name);
}

describe("the table of runs", () => {
  test("is cut into pages, which a page number that makes no sense does not leave", () => {
    expect(shown("")).toEqual(rows.slice(0, 40).map(({ name }) => name));
    expect(shown("page=3")).toEqual(rows.slice(80).map(({ name }) => name));
    for (const page of ["99", "1e999"]) expect(shown(`page=${page}`)).toEqual(shown("page=3"));
    for (const page of ["0", "-1", "x", "NaN"]) expect(shown(`page=${page}`)).toEqual(shown(""));
    expect(runsTable(rows, new URLSearchParams("page=2"))).toContain("41 to 80 of 100 runs");
  });

  test("finds every word, in whatever column", () => {
    expect(shown("search=MNIST+run-9")).toEqual(["run-9", "run-91", "run-93", "run-95", "run-97", "run-99"]);
    expect(shown("search=nothing+of+the+kind")).toEqual([]);
    expect(runsTable(rows, new URLSearchParams("search=nothing"))).toContain("none of 100 runs");
  });

  test("sorts numbers as numbers and names by the numbers in them; what is not known comes last either way", () => {
    const losses = (query: string): (number | undefined)[] =>
      [1, 2, 3]
        .flatMap((page) => shown(`${query}&page=${page}`))
        .map((name) => rows.find((row) => row.name === name)?.loss);
    const known = rows.flatMap(({ loss }) => loss ?? []).sort((a, b) => a - b);
    expect(losses("sort=loss")).toEqual([...known, undefined]);
    expect(losses("sort=loss&down=1")).toEqual([...known.reverse(), undefined]);
    expect(shown("sort=run&down=1").slice(0, 3)).toEqual(["run-99", "run-98", "run-97"]);
  });

  test("leads from each head to the order by it, and on to its reverse", () => {
    const text = runsTable(rows, new URLSearchParams("sort=loss"));
    expect(text).toContain(
      `aria-sort="ascending"><button type="button" id="sort-loss" data-look="sort=loss&amp;down=1&amp;page=1"`,
    );
    expect(text).toContain(`id="sort-age" data-look="sort=age&amp;down=&amp;page=1"`);
  });

  test("whatever is asked for, rows are shown once, and the form repeats what was searched as text", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (search, sort, page) => {
        const query = new URLSearchParams({ search, sort, page });
        const found = shown(String(query));
        expect(new Set(found).size).toBe(found.length);
        expect(runsForm(query)).not.toMatch(/value="[^"]*[<>][^"]*"/);
      }),
    );
  });
});
