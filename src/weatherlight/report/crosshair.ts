/**
 * The script inside a report: a line through all charts at the step under the pointer, and each series' value there
 * in its legend. It is written into the page as text, so it may use nothing from outside itself.
 */

export interface ChartReadings {
  readonly id: string;
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [step: number, text: string])[];
  }[];
}

/** Returns how to take it away again. */
export function crosshair(): () => void {
  const listening = new AbortController();
  const source = document.getElementById("readings");
  const charts = JSON.parse(source?.textContent ?? "[]") as ChartReadings[];
  const drawn = [...document.querySelectorAll<SVGSVGElement>("svg.chart[data-box]")].map((svg) => {
    const [left = 0, right = 0, top = 0, bottom = 0] = (svg.dataset.box ?? "").split(" ").map(Number);
    const [first = 0, last = 1] = (svg.dataset.xDomain ?? "").split(" ").map(Number);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const label = document.createElementNS("http://www.w3.org/2000/svg", "text");
    const cross = document.createElementNS("http://www.w3.org/2000/svg", "g");
    line.setAttribute("y1", String(top));
    line.setAttribute("y2", String(bottom));
    label.setAttribute("y", String(top + 8));
    cross.setAttribute("class", "cross");
    cross.append(line, label);
    svg.append(cross);
    const own = charts.find(({ id }) => id === svg.id)?.series ?? [];
    const values = own.map(({ name, points }) => ({
      points,
      cell: document.querySelector(`[data-value="${CSS.escape(`${svg.id}/${name}`)}"]`),
    }));
    return { svg, left, right, first, last, name: svg.dataset.xName ?? "step", cross, label, values };
  });

  const textAt = (points: ChartReadings["series"][number]["points"], step: number): string =>
    points.findLast(([at]) => at <= step)?.[1] ?? "";

  const show = (step: number | undefined): void => {
    for (const { left, right, first, last, name, cross, label, values } of drawn) {
      const shown = step ?? last;
      const x = left + ((shown - first) / (last - first)) * (right - left);
      cross.setAttribute("transform", `translate(${x} 0)`);
      cross.style.display = step === undefined ? "none" : "";
      const atRight = x > left + 0.85 * (right - left);
      label.setAttribute("x", atRight ? "-5" : "5");
      label.setAttribute("text-anchor", atRight ? "end" : "start");
      label.textContent = `${name} ${shown.toLocaleString("en-US", { maximumSignificantDigits: 6 })}`;
      for (const { points, cell } of values) cell?.replaceChildren(textAt(points, shown));
    }
  };

  for (const { svg, left, right, first, last } of drawn) {
    svg.addEventListener(
      "pointermove",
      (event) => {
        const box = svg.getBoundingClientRect();
        const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
        const fraction = Math.min(1, Math.max(0, (x - left) / (right - left)));
        show(Math.round(first + fraction * (last - first)));
      },
      { signal: listening.signal },
    );
    svg.addEventListener("pointerleave", () => show(undefined), { signal: listening.signal });
  }
  show(undefined);
  return () => {
    listening.abort();
    for (const { cross } of drawn) cross.remove();
  };
}
