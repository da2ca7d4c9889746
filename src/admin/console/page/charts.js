// Charts: SVG without a library. Each has a table with the same numbers behind it.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 900, HEIGHT = 100, ALONE = 6;

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (Math.abs(value) >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1);
}

export function table(head, rows) {
  const cell = (name, text, at) => element(name, at > 0 ? { class: "n" } : {}, String(text));
  return element("table", {},
    element("thead", {}, element("tr", {}, ...head.map((text, at) => { const th = cell("th", text, at); th.scope = "col"; return th; }))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((text, at) => cell("td", text, at))))));
}

export class Chart {
  // series: [{name, of(point)}]; stacked areas or lines. unit: of the axis.
  constructor(parent, title, series, { stacked = false, max = null, unit = "", spark = false } = {}) {
    Object.assign(this, { title, series, stacked, max, unit });
    this.svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    if (spark) this.svg.classList.add("spark");
    this.paths = series.map((_, at) => shape("path", { class: `s${at} ${stacked ? "area" : "line"}` }));
    this.svg.append(shape("line", { class: "axis", x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), ...this.paths.toReversed());
    this.top = element("span", {});
    this.legend = element("ul", { class: "legend" }, ...series.map((one, at) => element("li", { class: `s${at}` }, one.name)));
    this.behind = element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Table: ${title}` });
    this.details = element("details", {}, element("summary", {}, "Table"), this.behind);
    this.details.addEventListener("toggle", () => this.drawTable());
    parent.replaceChildren(this.top, this.svg, this.legend, this.details);
  }

  draw(points, capacity) {
    this.points = points;
    const last = points.at(-1);
    if (!last) return;
    // A short history fills the width, from one minute on.
    const span = Math.min(Math.max(last.at - points[0].at, 60), capacity - 1);
    const x = (point) => WIDTH * (1 - (last.at - point.at) / span);
    const values = points.map((point) => this.series.map((one) => one.of(point)));
    const sums = values.map((row) => this.stacked ? row.reduce((sum, value) => sum + (value ?? 0), 0) : Math.max(...row.map((value) => value ?? 0)));
    const max = this.max ?? Math.max(...sums, 1e-9);
    const y = (value) => (HEIGHT - HEIGHT * Math.min(value / max, 1)).toFixed(1);
    const base = values.map(() => 0);
    this.paths.forEach((path, at) => {
      let d = "", below = [], isOpen = false;
      points.forEach((point, row) => {
        const value = values[row][at];
        if (value === null) { isOpen = false; return; }
        if (this.stacked) below.push(`L${x(point).toFixed(1)} ${y(base[row])}`);
        base[row] += value;
        const isAlone = !this.stacked && !isOpen && (values[row + 1]?.[at] ?? null) === null;
        // A short line shows a point without neighbours.
        d += `${isOpen ? "L" : "M"}${(x(point) - (isAlone ? ALONE : 0)).toFixed(1)} ${y(this.stacked ? base[row] : value)}${isAlone ? `h${ALONE}` : ""}`;
        isOpen = true;
      });
      path.setAttribute("d", this.stacked && d ? `${d}${below.toReversed().join("")}Z` : d);
    });
    this.top.textContent = `0 to ${number(max)}${this.unit}, ${Math.round(span)} s`;
    const now = this.series.map((one) => `${one.name} ${number(one.of(last))}${this.unit}`).join(", ");
    this.svg.setAttribute("aria-label", `${this.title}. Now: ${now}. Highest: ${number(max)}${this.unit}.`);
    if (this.details.open && last.at % 5 === 0) this.drawTable();
  }

  // One row for ten seconds: the means.
  drawTable() {
    if (!this.details.open || !this.points?.length) return;
    const last = this.points.at(-1).at, rows = new Map();
    for (const point of this.points) {
      const ago = Math.floor((last - point.at) / 10) * 10;
      if (!rows.has(ago)) rows.set(ago, []);
      rows.get(ago).push(point);
    }
    const mean = (points, one) => {
      const values = points.map(one.of).filter((value) => value !== null);
      return values.length ? number(values.reduce((sum, value) => sum + value, 0) / values.length) : "–";
    };
    const body = [...rows].reverse().map(([ago, points]) => [`${ago} s`, ...this.series.map((one) => mean(points, one))]);
    this.behind.replaceChildren(table(["ago", ...this.series.map((one) => one.name)], body));
  }
}
