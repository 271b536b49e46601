// One group: its bounds, its measures over time with the bounds drawn in, its processes, its alarms.

const CHART_SPANS = [["15m", "15 m"], ["1h", "1 h"], ["6h", "6 h"], ["24h", "24 h"], ["7d", "7 d"]];
const HISTORY_AGAIN = 60000;
// As many as a chart has room for.
const POINTS = 450;

function groupView(name) {
  const head = el("h1", {}, plain(name, 200));
  const pill = statePill();
  const declared = el("p", { class: "quiet" });
  const gone = el("p", { class: "banner", hidden: true }, "There is no group of this name now.");
  const bounds = boundsTable();
  const charts = chartsOf(name);
  const members = membersTable();
  const past = timeline(name);
  const node = el("div", {},
    el("p", { class: "crumb" }, el("a", { href: "#/" }, "All groups")),
    el("div", { class: "bar" }, head, pill), declared, gone,
    el("section", { "aria-labelledby": "bounds-title" }, el("h2", { id: "bounds-title" }, "Bounds"), bounds.node),
    charts.node,
    el("section", { "aria-labelledby": "members-title" }, el("h2", { id: "members-title" }, "Processes"), members.note, members.table.node),
    past.node);
  return {
    node,
    title: plain(name, 60),
    filter: members.table.input,
    group: name,
    draw() {
      const row = world.rows.get(`group/${name}`);
      gone.hidden = Boolean(row) || world.rows.has(`job/${name}`);
      if (row) {
        const worst = worstOf(row.bounds);
        setPill(pill, worst?.state ?? "healthy", worst?.severity);
        say(declared, `${many(row.members, "process", "processes")}; declared in ${plain(row.declared, 300)}`);
        bounds.draw(row.bounds);
      }
      charts.draw(row);
      members.draw();
      past.draw();
    },
    close: () => members.table.close(),
  };
}

function boundsTable() {
  const body = el("tbody");
  const head = ["Bound", "Now", "Near", "State", "Since"].map((title) => el("th", { scope: "col", class: title === "Near" ? "wide" : null }, title));
  const table = el("table", { class: "plain" }, el("caption", { class: "unseen" }, "Bounds of this group"), el("thead", {}, el("tr", {}, ...head)), body);
  return {
    node: table,
    draw(bounds) {
      if (bounds.length === 0) return body.replaceChildren(el("tr", {}, el("td", { colspan: head.length }, "It has no bound.")));
      while (body.children.length > bounds.length || body.querySelector("[colspan]")) body.lastChild.remove();
      while (body.children.length < bounds.length) {
        body.append(el("tr", {}, el("th", { scope: "row" }), el("td", { class: "number" }), el("td", { class: "wide" }, nearBar()), el("td", {}, statePill()), el("td", { class: "quiet" })));
      }
      for (const [place, bound] of bounds.entries()) {
        const [title, value, near, state, since] = body.children[place].children;
        say(title, `${titleOf(bound.measure)}, ${limitOf(bound)}`);
        say(value, `${bound.lower_limit ? "at least " : ""}${valueOf(bound.measure, bound.value)}`);
        setNear(near.firstChild, bound.near, bound.state);
        setPill(state.firstChild, bound.state, bound.severity);
        const healed = bound.dips ? `${many(bound.dips, "dip")} healed` : "";
        say(since, bound.since === undefined ? healed : spanOf(world.ago(bound.since)));
      }
    },
  };
}

// What the daemon has kept, and behind it what this page has seen.
function chartsOf(name) {
  let span = "15m";
  let kept = null;
  let askedAt = 0;
  let drawnAt = 0;
  const charts = new Map();
  const words = el("p", { class: "quiet", role: "status" });
  const pick = choice("How far back", "chart-span", CHART_SPANS, span, (value) => {
    span = value;
    kept = null;
    askedAt = 0;
    drawnAt = 0;
    draw(world.rows.get(`group/${name}`));
  });
  const list = el("div", { class: "charts" });
  const node = el("section", { "aria-labelledby": "charts-title" }, el("div", { class: "bar" }, el("h2", { id: "charts-title" }, "History"), pick), words, list);

  async function fetchKept() {
    const own = span;
    try {
      const step = Math.ceil(SECONDS[own] / POINTS);
      const answer = await (await ask(`/v1/history?name=${encodeURIComponent(name)}&since=${own}&step=${step}s`)).json();
      if (own === span) kept = answer;
      say(words, "");
    } catch (error) {
      if (own === span) kept = null;
      say(words, `What was kept is not there: ${plain(error.message)}. You see what this page has seen.`);
    }
    drawnAt = 0;
    draw(world.rows.get(`group/${name}`));
  }

  function draw(row) {
    if (Date.now() - askedAt > HISTORY_AGAIN) {
      askedAt = Date.now();
      fetchKept();
    }
    const to = world.time / 1000;
    const from = to - SECONDS[span];
    const step = kept?.step_seconds ?? 1;
    // What changes by less than a point is not drawn anew.
    if (to - drawnAt < Math.min(step / 2, 30)) return;
    drawnAt = to;
    const series = seriesOf(kept, from, step);
    const isBound = (measure) => row?.bounds.some((bound) => bound.measure === measure) ?? false;
    // Those with a bound first, in the order of the file.
    for (const [measure, points] of [...series].sort((a, b) => isBound(b[0]) - isBound(a[0]))) {
      if (!charts.has(measure)) {
        charts.set(measure, new Chart(measure));
        list.append(charts.get(measure).node);
      }
      const bounds = row ? row.bounds.filter((bound) => bound.measure === measure) : [];
      charts.get(measure).draw({ points, bounds, from, to, step });
    }
    for (const [measure, chart] of charts) {
      if (series.has(measure)) continue;
      chart.node.remove();
      charts.delete(measure);
    }
  }
  return { node, draw };
}

// Behind what was kept as many points of what was seen as fit its step, and the present one.
function seriesOf(kept, from, step) {
  const series = new Map();
  for (const { measure, points } of kept?.series ?? []) series.set(measure, points.filter((point) => point[0] >= from));
  for (const [place, [seconds, values]] of world.seen.entries()) {
    if (seconds < from) continue;
    const present = place === world.seen.length - 1;
    for (const [measure, value] of Object.entries(values)) {
      if (!series.has(measure)) series.set(measure, []);
      const points = series.get(measure);
      const since = points.length === 0 ? Infinity : seconds - points.at(-1)[0];
      if (since >= step || (present && since > 0)) points.push([seconds, value, value, value]);
    }
  }
  return series;
}
