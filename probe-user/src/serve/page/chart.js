// One measure over time: a line through the means, a band from the least to the most, and its bounds as dashed lines.
//
// Points are [seconds, least, mean, most], ascending; where one is missing nothing was measured, and the line is broken. The
// caption says the same in words.

const CHART = { width: 640, height: 180, left: 8, right: 8, top: 14, bottom: 20 };

class Chart {
  constructor(measure) {
    this.measure = measure;
    this.picture = svg("svg", { class: "chart", role: "img", preserveAspectRatio: "none" });
    this.caption = el("figcaption");
    this.title = el("h3", {}, titleOf(measure));
    this.now = el("span", { class: "now" });
    this.node = el("figure", { class: "figure" }, el("div", { class: "figure-head" }, this.title, this.now), this.picture, this.caption);
  }

  draw({ points, bounds, from, to, step }) {
    const width = Math.max(240, Math.round(this.node.clientWidth - 32) || CHART.width);
    const write = (value) => valueOf(this.measure, value);
    const values = [...points.map((point) => point[3]), ...bounds.map((bound) => bound.limit)];
    const most = niceTop(this.measure, Math.max(0, ...values.filter(Number.isFinite)));
    const x = (seconds) => CHART.left + ((seconds - from) / Math.max(1, to - from)) * (width - CHART.left - CHART.right);
    const y = (value) => CHART.height - CHART.bottom - (value / most) * (CHART.height - CHART.top - CHART.bottom);
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      parts.push(svg("line", { class: "grid", x1: CHART.left, x2: width - CHART.right, y1: y(most * share), y2: y(most * share) }));
    }
    for (const run of runsOf(points, step * 2.5)) parts.push(...pathsOf(run, x, y));
    for (const bound of bounds) parts.push(...boundLine(bound, write, x(to), CHART.left, y(bound.limit)));
    for (const share of [0.5, 1]) {
      parts.push(svg("text", { class: "axis", x: CHART.left, y: y(most * share) - 3 }, write(most * share)));
    }
    for (const share of [0, 0.5, 1]) {
      const anchor = ["start", "middle", "end"][share * 2];
      const at = svg("text", { class: "axis", x: x(from + (to - from) * share), y: CHART.height - 5, "text-anchor": anchor });
      at.append(momentOf((from + (to - from) * share) * 1000));
      parts.push(at);
    }
    mark(this.picture, "viewBox", `0 0 ${width} ${CHART.height}`);
    this.picture.replaceChildren(...parts);
    this.describe(points, bounds, write, to - from);
  }

  describe(points, bounds, write, span) {
    const limits = bounds.map((bound) => `${limitOf({ ...bound, measure: this.measure })}`).join(", ");
    const told = limits === "" ? "no bound" : limits;
    if (points.length === 0) {
      say(this.now, "");
      say(this.caption, `Nothing measured in ${spanOf(span)}; ${told}.`);
    } else {
      const least = Math.min(...points.map((point) => point[1]));
      const most = Math.max(...points.map((point) => point[3]));
      say(this.now, write(points.at(-1)[2]));
      say(this.caption, `${least === most ? write(most) : `${write(least)} to ${write(most)}`} since ${momentOf(points[0][0] * 1000)}; ${told}.`);
    }
    mark(this.picture, "aria-label", `${titleOf(this.measure)}: ${this.caption.textContent}`);
  }
}

// A round number above the value, so that the line does not touch the top; its half is one as well.
function niceTop(measure, value) {
  const { axis = "whole", least = 2 } = MEASURES[measure] ?? {};
  const wanted = Math.max(least, value * 1.12);
  const unit = axis === "twos" ? 2 ** Math.floor(Math.log2(wanted)) : 10 ** Math.floor(Math.log10(wanted));
  const factors = { twos: [1, 1.25, 1.5, 2], tens: [1, 1.6, 2, 3, 4, 6, 8, 10], whole: [2, 4, 6, 8, 10] }[axis];
  return factors.map((factor) => factor * unit).find((top) => top >= wanted) ?? wanted;
}

// Points without a hole between them.
function runsOf(points, hole) {
  const runs = [];
  for (const point of points) {
    const last = runs.at(-1)?.at(-1);
    if (last && point[0] - last[0] <= hole) runs.at(-1).push(point);
    else runs.push([point]);
  }
  return runs;
}

function pathsOf(run, x, y) {
  const at = (point, value) => `${x(point[0]).toFixed(1)},${y(value).toFixed(1)}`;
  if (run.length === 1) return [svg("circle", { class: "dot", cx: x(run[0][0]), cy: y(run[0][2]), r: 1.5 })];
  const paths = [];
  if (run.some((point) => point[1] !== point[3])) {
    const over = run.map((point) => at(point, point[3]));
    const under = run.map((point) => at(point, point[1])).reverse();
    paths.push(svg("polygon", { class: "band", points: [...over, ...under].join(" ") }));
  }
  // What stays the same until it changes is drawn so.
  const steps = run.flatMap((point, place) => (place === 0 ? [at(point, point[2])] : [`${x(point[0]).toFixed(1)},${y(run[place - 1][2]).toFixed(1)}`, at(point, point[2])]));
  paths.push(svg("polyline", { class: "line", points: steps.join(" ") }));
  return paths;
}

function boundLine(bound, write, right, left, height) {
  const text = svg("text", { class: "limit-text", x: right, y: height - 4, "text-anchor": "end" });
  text.append(`${bound.bound} ${write(bound.limit)}`);
  return [svg("line", { class: "limit", "data-severity": bound.severity, x1: left, x2: right, y1: height, y2: height }), text];
}
