/**
 * The script of the dashboard's pages. The server draws; this asks for the drawing again when there is something new, when the reader
 * wants another look, and hands on what is ordered. It runs in a browser.
 */
import { crosshair } from "../report/crosshair.js";

/** Between two drawings of a run that goes on; the server says how long it wants, by what a drawing costs it. */
let redrawMs = 700;
/** What has not come by then does not come, and is asked for again. */
const ANSWER_MS = 30_000;
/** Between two looks at a page that has no stream. */
const LOOK_AGAIN_MS = 3_000;
const TOKEN = "kasmina-token";

function find<E extends HTMLElement>(id: string): E | undefined {
  return (document.getElementById(id) as E | null) ?? undefined;
}

const view = find("view");
const look = find<HTMLFormElement>("look");
/** As the style has it. */
const narrow = matchMedia("(max-width:700px)");
const facts = (): DOMStringMap => find("facts")?.dataset ?? {};
/** The step that is looked at; undefined: the run as it is now. */
let at: number | undefined;
/** Whether a drawing is asked for, and whether another one is wanted after it. */
let [isDrawing, isWanted] = [false, false];
/** The parts of the view as they came. */
let drawn: readonly string[] = [];
let endCrosshair = (): void => undefined;
/** The next try, where a drawing did not come. */
let again: ReturnType<typeof setTimeout> | undefined;

/** Draws anew, one drawing at a time; what was asked for meanwhile is drawn after it. */
async function draw(): Promise<void> {
  isWanted = true;
  const whole = find<HTMLButtonElement>("whole");
  if (whole) whole.disabled = !fromStep?.value && !toStep?.value;
  if (look) showStep();
  if (isDrawing) return;
  isDrawing = true;
  try {
    while (isWanted) {
      isWanted = false;
      await drawOnce();
    }
  } finally {
    isDrawing = false;
  }
}

async function drawOnce(): Promise<void> {
  if (!view) return;
  const url = new URL(view.dataset.view ?? "", location.href);
  if (look) for (const [name, value] of new FormData(look)) url.searchParams.set(name, String(value));
  if (narrow.matches) url.searchParams.set("narrow", "1");
  url.searchParams.delete("at");
  if (at !== undefined) url.searchParams.set("at", String(at));
  const signal = AbortSignal.timeout(ANSWER_MS);
  const text = await fetch(url, { signal })
    .then((answer) => {
      redrawMs = Number(answer.headers.get("x-redraw-after-ms") ?? redrawMs);
      return answer.ok ? answer.text() : undefined;
    })
    .catch(() => undefined);
  clearTimeout(again);
  if (text === undefined) {
    again = setTimeout(() => void draw(), LOOK_AGAIN_MS);
    return;
  }
  const focused = document.activeElement?.id;
  await replaceParts(view, text);
  restore(focused);
  settle();
}

/** Replaces what has changed, with a pause after each part: no drawing keeps the page from its reader for long. */
async function replaceParts(whole: HTMLElement, text: string): Promise<void> {
  const template = document.createElement("template");
  template.innerHTML = text;
  const parts = [...template.content.children];
  const written = parts.map(({ outerHTML }) => outerHTML);
  endCrosshair();
  for (const [i, part] of parts.entries()) {
    const old = whole.children[i];
    if (old && written[i] === drawn[i]) continue;
    if (old) old.replaceWith(part);
    else whole.append(part);
    letScroll();
    await new Promise((done) => setTimeout(done));
  }
  while (whole.children.length > parts.length) whole.lastElementChild?.remove();
  drawn = written;
}

/** What follows from what was drawn. */
function settle(): void {
  endCrosshair();
  if (find("readings")) endCrosshair = crosshair();
  letScroll();
  if (look) showStep();
  offerSeeds();
}

/** What is wider than its card can be scrolled by keys. */
function letScroll(): void {
  for (const card of document.querySelectorAll<HTMLElement>(".card")) {
    if (card.scrollWidth > card.clientWidth) card.tabIndex = 0;
    else card.removeAttribute("tabindex");
  }
}
addEventListener("resize", letScroll);

function showStep(): void {
  const { last = "0", state = "" } = facts();
  const range = look?.elements.namedItem("at") as HTMLInputElement | null;
  if (!range) return;
  range.max = last;
  if (at === undefined) range.value = last;
  find("at")?.replaceChildren(Number(at ?? last).toLocaleString("en-US"));
  find("state")?.replaceChildren(state);
  find("live")?.setAttribute("aria-pressed", String(at === undefined));
}

// Looking

look?.addEventListener("submit", (event) => event.preventDefault());
look?.addEventListener("input", (event) => {
  const input = event.target as HTMLInputElement;
  if (input.name === "search") setLook("page", "1");
  if (input.name === "at") at = input.value === input.max ? undefined : Number(input.value);
  void draw();
});
find("live")?.addEventListener("click", () => {
  at = undefined;
  void draw();
});

// A part of the steps: drawn over a chart, or written into the form; all charts show it

const [fromStep, toStep] = ["from", "to"].map(
  (name) => look?.elements.namedItem(name) as HTMLInputElement | null | undefined,
);
/** A selection that is narrower, in pixels, was a click. */
const LEAST_SELECTED = 6;
let selection:
  | { readonly svg: SVGSVGElement; readonly start: number; readonly box: SVGRectElement }
  | undefined;

function showSteps(from: string, to: string): void {
  if (!fromStep || !toStep || (fromStep.value === from && toStep.value === to)) return;
  fromStep.value = from;
  toStep.value = to;
  void draw();
}

/** Where the pointer is in the chart's own units, within its plot. */
function placeIn(svg: SVGSVGElement, { clientX }: PointerEvent): number {
  const [left = 0, right = 0] = (svg.dataset.box ?? "").split(" ").map(Number);
  const { left: edge, width } = svg.getBoundingClientRect();
  return Math.min(right, Math.max(left, ((clientX - edge) / width) * svg.viewBox.baseVal.width));
}

/** The step at a place of the chart, whatever its curves are drawn over. */
function stepAt(svg: SVGSVGElement, place: number): number {
  const [left = 0, right = 1] = (svg.dataset.box ?? "").split(" ").map(Number);
  const [first = 0, last = 1] = (svg.dataset.xDomain ?? "").split(" ").map(Number);
  const value = first + ((place - left) / (right - left)) * (last - first);
  const known = svg.dataset.steps?.split(" ").map((pair) => pair.split(":").map(Number));
  if (!known) return Math.max(0, Math.round(value));
  const after = known.findIndex(([at = 0]) => at >= value);
  const [toPlace = 0, to = 0] = known[after] ?? known.at(-1) ?? [];
  const [fromPlace = 0, from = 0] = known[after - 1] ?? [toPlace, to];
  const part = toPlace > fromPlace ? (value - fromPlace) / (toPlace - fromPlace) : 1;
  return Math.round(from + Math.min(1, part) * (to - from));
}

view?.addEventListener("pointerdown", (event) => {
  const svg = (event.target as Element).closest<SVGSVGElement>("svg.chart[data-box]");
  if (!svg || !fromStep || event.button !== 0 || event.pointerType === "touch") return;
  const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const [, , top = "0", bottom = "0"] = (svg.dataset.box ?? "").split(" ");
  const start = placeIn(svg, event);
  box.setAttribute("class", "selection");
  for (const [name, value] of Object.entries({
    x: start,
    y: top,
    width: 0,
    height: Number(bottom) - Number(top),
  }))
    box.setAttribute(name, String(value));
  svg.append(box);
  selection = { svg, start, box };
});
addEventListener("pointermove", (event) => {
  if (!selection) return;
  const at = placeIn(selection.svg, event);
  selection.box.setAttribute("x", String(Math.min(at, selection.start)));
  selection.box.setAttribute("width", String(Math.abs(at - selection.start)));
});
addEventListener("pointerup", (event) => {
  if (!selection) return;
  const { svg, start, box } = selection;
  const end = placeIn(svg, event);
  selection = undefined;
  box.remove();
  if (Math.abs(end - start) < LEAST_SELECTED) return;
  const steps = [start, end].map((place) => stepAt(svg, place)).sort((a, b) => a - b);
  showSteps(String(steps[0]), String(steps[1]));
});
addEventListener("pointercancel", () => {
  selection?.box.remove();
  selection = undefined;
});
view?.addEventListener("dblclick", (event) => {
  if ((event.target as Element).closest("svg.chart[data-box]")) showSteps("", "");
});
addEventListener("keydown", ({ key }) => {
  if (key === "Escape") showSteps("", "");
});
find("whole")?.addEventListener("click", () => showSteps("", ""));

/** Draws soon; what comes meanwhile is drawn with it. */
let isDue = false;
function drawSoon(): void {
  if (isDue) return;
  isDue = true;
  setTimeout(() => {
    isDue = false;
    // What is being selected is not drawn anew under the pointer.
    if (selection) drawSoon();
    else if (document.hidden) isMissed = true;
    else if (at === undefined) void draw();
  }, redrawMs);
}

/** Whether there is more to draw than was drawn while nobody could see it. */
let isMissed = false;
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !isMissed) return;
  isMissed = false;
  if (at === undefined) void draw();
});

function follow(): void {
  const path = view?.dataset.stream;
  if (path === undefined) {
    setInterval(() => {
      // Whoever goes through a table by keys would be thrown out of it.
      if (!document.hidden && !view?.contains(document.activeElement)) void draw();
    }, LOOK_AGAIN_MS);
    return;
  }
  const lines = new EventSource(`${path}?after=${facts().lines ?? 0}`);
  lines.addEventListener("message", drawSoon);
  // How a run ended is written after its last line.
  setInterval(() => {
    if (!document.hidden && facts().state === "running") drawSoon();
  }, LOOK_AGAIN_MS);
}

// The table of runs

/** Also those that are not among the rows shown. */
const chosen = new Set<string>();

view?.addEventListener("change", ({ target }) => {
  const box = target as HTMLInputElement;
  if (box.name !== "run") return;
  if (box.checked) chosen.add(box.value);
  else chosen.delete(box.value);
});
addEventListener("submit", (event) => {
  if ((event.target as HTMLFormElement).id !== "compare") return;
  event.preventDefault();
  const query = new URLSearchParams([...chosen].map((name) => ["run", name]));
  if (chosen.size > 0) location.href = `/compare?${query}`;
});

/** What a button of the table wants to see. */
view?.addEventListener("click", ({ target }) => {
  const button = (target as Element).closest<HTMLElement>("[data-look]");
  if (!button) return;
  for (const [name, value] of new URLSearchParams(button.dataset.look)) setLook(name, value);
  void draw();
});

function setLook(name: string, value: string): void {
  const input = look?.elements.namedItem(name) as HTMLInputElement | null | undefined;
  if (input) input.value = value;
}

/** What a drawing took from those who were at it: their place, and what they chose. */
function restore(focused: string | undefined): void {
  if (focused && document.activeElement === document.body) find(focused)?.focus();
  for (const box of view?.querySelectorAll<HTMLInputElement>("input[name=run]") ?? [])
    box.checked = chosen.has(box.value);
}

// Acting

const act = find("act");

/** The token is behind the # of the address that was printed; it is kept for this tab. */
function takeToken(): void {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return;
  sessionStorage.setItem(TOKEN, token);
  history.replaceState(null, "", location.pathname + location.search);
}

/** Which seeds can be ordered, and whether anything can. */
function offerSeeds(): void {
  const select = find<HTMLSelectElement>("seed");
  if (!act || !select) return;
  const { state, seeds = "[]" } = facts();
  const ids = JSON.parse(seeds) as string[];
  const chosen = select.value;
  select.replaceChildren(...ids.map((id) => new Option(id, id, false, id === chosen)));
  const why = whyNot(state);
  for (const button of act.querySelectorAll<HTMLButtonElement>("[data-action]"))
    button.disabled = why !== undefined || (button.dataset.needs === "seed" && ids.length === 0);
  const outcome = find("outcome");
  if (outcome && outcome.dataset.said === undefined) outcome.replaceChildren(why ?? "");
}

function whyNot(state: string | undefined): string | undefined {
  if (state !== "running") return "The run does not go on: there is nothing to order.";
  if (sessionStorage.getItem(TOKEN) === null)
    return "To order something, open the address that the terminal printed: it has the token.";
  return undefined;
}

act?.addEventListener("click", (event) => {
  const button = (event.target as Element).closest<HTMLButtonElement>("[data-action]");
  if (button) void order(button);
});

async function order({ dataset, textContent }: HTMLButtonElement): Promise<void> {
  const seed = find<HTMLSelectElement>("seed")?.value ?? "";
  const { action = "", level, to, needs } = dataset;
  const what =
    needs === "seed"
      ? `${textContent} ${seed}`
      : `${action === "emergency" ? "Emergency: " : ""}${textContent}`;
  if (!(await isConfirmed(`${what}, in run ${act?.dataset.run}?`))) return;
  say(`${what}: sent`);
  const body = { action, ...(needs === "seed" && { seed }), ...(level && { level }), ...(to && { to }) };
  say(`${what}: ${await send(body)}`);
  drawSoon();
}

async function send(body: object): Promise<string> {
  try {
    const answer = await fetch(act?.dataset.path ?? "", {
      method: "POST",
      headers: { "content-type": "application/json", "x-kasmina-token": sessionStorage.getItem(TOKEN) ?? "" },
      body: JSON.stringify(body),
    });
    const { error, status, reason, effectiveStep } = (await answer.json()) as Record<string, string>;
    if (error) return error;
    const when = effectiveStep === undefined ? "" : `, in effect from step ${effectiveStep} on`;
    return `${status}${reason ? `: ${reason}` : ""}${when}`;
  } catch (error) {
    return String(error);
  }
}

function say(text: string): void {
  const outcome = find("outcome");
  if (!outcome) return;
  outcome.dataset.said = "";
  outcome.replaceChildren(text);
}

function isConfirmed(question: string): Promise<boolean> {
  const dialog = find<HTMLDialogElement>("confirm");
  if (!dialog) return Promise.resolve(false);
  dialog.querySelector("p")?.replaceChildren(question);
  dialog.showModal();
  // Not by its close event, which comes later: the next question may be asked before it.
  const answered = new AbortController();
  return new Promise((done) => {
    const answer = (isYes: boolean): void => {
      answered.abort();
      done(isYes);
    };
    const { signal } = answered;
    dialog.addEventListener("cancel", () => answer(false), { signal });
    dialog.addEventListener(
      "submit",
      ({ submitter }) => answer((submitter as HTMLButtonElement | null)?.value === "yes"),
      { signal },
    );
  });
}

takeToken();
settle();
narrow.addEventListener("change", () => void draw());
if (narrow.matches) void draw();
follow();
