/**
 * The table of runs: found, sorted and cut into pages here, so that the page has as many rows to lay out as a reader looks at, however
 * many runs there are. A button that changes the look says to what in `data-look`; the page asks again with it.
 */
import { formatFlops } from "../../base/index.js";
import { SCORE_TITLES } from "../../contracts/index.js";
import { formatScore } from "../folder/growth-lines.js";
import { section } from "../report/page.js";
import { element, escapeText } from "../report/svg.js";
import { quantity, table } from "../report/tables.js";
import { grouped, meanText } from "./compare.js";
import type { RunRow } from "./runs.node.js";

/** More are not compared: their lines could not be told from each other. */
export const COMPARED_MAX = 32;
const ROWS_A_PAGE = 40;
const GROUPS_SHOWN = 40;

/** Which runs are looked at, and in which order. */
interface RunsLook {
  /** All of these words stand somewhere in the row. */
  readonly words: readonly string[];
  readonly column: Column | undefined;
  readonly down: boolean;
  /** 1, 2, 3, … */
  readonly page: number;
}

/** @param query `search`, `sort` (the title of a column), `down` (1: the largest first) and `page`; what makes no sense is as if left out */
function lookOf(query: URLSearchParams): RunsLook {
  return {
    words: (query.get("search") ?? "").toLowerCase().split(/\s+/).filter(Boolean),
    column: COLUMNS.find(({ title }) => title === query.get("sort")),
    down: query.get("down") === "1",
    page: Math.max(1, Math.trunc(Number(query.get("page"))) || 1),
  };
}

interface Column {
  readonly title: string;
  /** What the column is sorted by; undefined, wherever it is sorted to, is last. */
  readonly value: (row: RunRow) => string | number | undefined;
  readonly cell: (row: RunRow) => string;
  readonly className?: string;
  /** Left out where no run has any. */
  readonly optional?: boolean;
}

function textColumn(title: string, value: (row: RunRow) => string, optional = false): Column {
  return { title, value, cell: (row) => escapeText(value(row)), optional };
}

function numberColumn(
  title: string,
  value: (row: RunRow) => number | undefined,
  text: (value: number, row: RunRow) => string,
): Column {
  const cell = (row: RunRow): string => {
    const number = value(row);
    return number === undefined ? "–" : text(number, row);
  };
  return { title, value, cell, className: "number" };
}

const COLUMNS: readonly Column[] = [
  {
    title: "run",
    value: ({ name }) => name,
    cell: ({ name }) => element("a", { href: pathOf(name) }, escapeText(name)),
  },
  textColumn("name", ({ title }) => title, true),
  textColumn("tags", ({ tags }) => tags.join(", "), true),
  textColumn("state", ({ state }) => state),
  numberColumn(
    "age",
    ({ ageMs }) => ageMs,
    (ageMs, { startedMs }) => {
      const title = `began ${new Date(startedMs).toISOString().slice(0, 16).replace("T", " ")} UTC`;
      return element("span", { title }, age(ageMs));
    },
  ),
  textColumn("data", ({ data }) => data),
  textColumn("host", ({ host }) => host),
  { ...textColumn("seed", ({ seed }) => seed), className: "number" },
  numberColumn("step", ({ step }) => step, quantity),
  numberColumn(
    "loss",
    ({ loss }) => loss,
    (loss) => loss.toFixed(4),
  ),
  numberColumn(
    "score",
    ({ score }) => score?.value,
    (_, { score }) =>
      score ? `${formatScore(score)}${score.name === "accuracy" ? "" : ` ${SCORE_TITLES[score.name]}`}` : "",
  ),
  numberColumn("parameters", ({ parameters }) => parameters, quantity),
  numberColumn("FLOPs", ({ flops }) => flops, formatFlops),
  numberColumn("seeds", ({ seeds }) => seeds, String),
];

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
] as const;

/** In the largest unit of which there is one: 3 h. */
function age(ms: number): string {
  const [unit, length] = UNITS.find(([, unitMs]) => ms >= unitMs) ?? ["s", 1_000];
  return `${Math.floor(ms / length)} ${unit}`;
}

/** What of the page of runs stays: the search, and what the table's buttons set. */
export function runsForm(query: URLSearchParams): string {
  const { words, column, down, page } = lookOf(query);
  const hidden = Object.entries({ sort: column?.title ?? "", down: down ? "1" : "", page }).map(
    ([name, value]) => element("input", { type: "hidden", name, value }),
  );
  const search = {
    type: "search",
    id: "search",
    name: "search",
    autocomplete: "off",
    value: words.join(" "),
  };
  return element(
    "form",
    { class: "bar", id: "look", role: "search" },
    `<label class="long">Search ${element("input", search)}</label>${hidden.join("")}<button type="submit" form="compare">Compare the chosen</button>`,
  );
}

/** The runs that are looked for, and those among them that were asked for the same. */
export function runsTable(rows: readonly RunRow[], query: URLSearchParams): string {
  if (rows.length === 0) return `<div class="card quiet">No runs yet: kasmina grow</div>`;
  const look = lookOf(query);
  const columns = COLUMNS.filter(({ optional, value }) => !optional || rows.some((row) => value(row) !== ""));
  const found = sorted(
    rows.filter((row) => hasAll(row, columns, look.words)),
    look,
  );
  const pages = Math.max(1, Math.ceil(found.length / ROWS_A_PAGE));
  const page = Math.min(look.page, pages);
  const shown = found.slice((page - 1) * ROWS_A_PAGE, page * ROWS_A_PAGE);
  const choose = {
    title: `<span class="quiet">choose</span>`,
    cell: ({ name }: RunRow) =>
      element("input", { type: "checkbox", name: "run", value: name, "aria-label": `compare ${name}` }),
  };
  const written = table<RunRow>(
    [choose, ...columns.map((column) => ({ ...column, ...headOf(column, look) }))],
    shown,
  );
  const form = element("form", { id: "compare", action: "/compare", method: "get" }, written);
  return form + pageButtons(found.length, rows.length, page, pages) + groupsOf(found);
}

function hasAll(row: RunRow, columns: readonly Column[], words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const text = columns.map(({ value }) => value(row) ?? "").join(" ");
  return words.every((word) => text.toLowerCase().includes(word));
}

function sorted(rows: readonly RunRow[], { column, down }: RunsLook): readonly RunRow[] {
  if (!column) return rows;
  const { value } = column;
  const known = rows.filter((row) => value(row) !== undefined);
  const order = (a: RunRow, b: RunRow): number => compare(value(a) ?? "", value(b) ?? "");
  return [
    ...known.sort((a, b) => (down ? order(b, a) : order(a, b))),
    ...rows.filter((row) => value(row) === undefined),
  ];
}

function compare(a: string | number, b: string | number): number {
  return typeof a === "number" && typeof b === "number"
    ? a - b
    : String(a).localeCompare(String(b), "en", { numeric: true });
}

/** The head of a column: pressed, it sorts by it; pressed again, the other way round. */
function headOf(
  { title }: Column,
  { column, down }: RunsLook,
): { readonly title: string; readonly sort?: "ascending" | "descending" } {
  const isSorted = column?.title === title;
  const next = new URLSearchParams({ sort: title, down: isSorted && !down ? "1" : "", page: "1" });
  const button = { type: "button", id: `sort-${title}`, "data-look": String(next) };
  return {
    title: element("button", button, title),
    ...(isSorted && { sort: down ? "descending" : "ascending" }),
  };
}

/** Which part of the runs is seen, and the way to the others. */
function pageButtons(found: number, all: number, page: number, pages: number): string {
  if (pages === 1 && found === all) return "";
  const button = (id: string, text: string, to: number): string =>
    element(
      "button",
      {
        type: "button",
        id,
        "data-look": `page=${to}`,
        disabled: to < 1 || to > pages ? "" : undefined,
      },
      text,
    );
  const first = (page - 1) * ROWS_A_PAGE + 1;
  const last = Math.min(found, page * ROWS_A_PAGE);
  const of = `${quantity(found)}${found < all ? ` found among ${quantity(all)}` : ""} runs`;
  const said =
    found === 0 ? `none of ${quantity(all)} runs` : `${quantity(first)} to ${quantity(last)} of ${of}`;
  const buttons =
    pages > 1 ? button("page-before", "Before", page - 1) + button("page-next", "Next", page + 1) : "";
  return element(
    "p",
    { class: "bar" },
    `${buttons} ${element("span", { class: "quiet", role: "status" }, said)}`,
  );
}

/** Runs that were asked for the same but for the random seed, where there are such. */
function groupsOf(rows: readonly RunRow[]): string {
  const several = grouped(rows, ({ group }) => group).filter(({ length }) => length > 1);
  if (several.length === 0) return "";
  const written = table<readonly RunRow[]>(
    [
      {
        title: "runs",
        cell: (members) => {
          const query = members.slice(0, COMPARED_MAX).map(({ name }) => `run=${encodeURIComponent(name)}`);
          return element("a", { href: `/compare?${query.join("&")}` }, `${members.length} runs`);
        },
      },
      { title: "data", cell: ([first]) => escapeText(first?.data ?? "") },
      { title: "host", cell: ([first]) => escapeText(first?.host ?? "") },
      {
        title: "random seeds",
        className: "wide",
        cell: (members) =>
          escapeText(
            members
              .map(({ seed }) => seed)
              .slice(0, COMPARED_MAX)
              .join(", "),
          ),
      },
      {
        title: "loss",
        className: "number",
        cell: (members) =>
          meanText(
            members.map(({ loss }) => loss),
            (value) => value.toFixed(4),
          ),
      },
      {
        title: "score",
        className: "number",
        cell: (members) => {
          const name = members.find(({ score }) => score)?.score?.name ?? "accuracy";
          const own = members.map(({ score }) => (score?.name === name ? score.value : undefined));
          return meanText(own, (value) => formatScore({ name, value }));
        },
      },
    ],
    several.slice(0, GROUPS_SHOWN),
    element(
      "p",
      { class: "quiet" },
      `mean ± half of the 95 % interval; chosen together, their curves are one line with a band${
        several.length > GROUPS_SHOWN ? `; ${several.length - GROUPS_SHOWN} more are not listed` : ""
      }`,
    ),
  );
  return section("Asked for the same, with other random seeds", written);
}

/** Where a run's page is. */
export function pathOf(name: string): string {
  return `/runs/${encodeURIComponent(name)}`;
}
