// The probe itself: what it costs, where its events go, what was lost.

function probeView() {
  const cost = el("dl", { class: "facts" });
  const ways = el("dl", { class: "facts" });
  const lost = el("div");
  const notes = el("ul", { class: "notes" });
  const part = (id, title, node) => el("section", { "aria-labelledby": id }, el("h2", { id }, title), node);
  const noted = part("notes-title", "Works less well than it should", notes);
  const node = el("div", {}, el("h1", { class: "unseen" }, "Probe"), noted, part("cost-title", "What it costs", cost),
    part("ways-title", "Where its events go", ways), part("lost-title", "What was lost", lost));
  return {
    node,
    title: "Probe",
    draw() {
      const agent = world.rows.get("agent");
      const row = world.rows.get("ways");
      if (!agent || !row) return;
      facts(cost, costOf(agent));
      facts(ways, waysOf(row));
      const said = [...row.unhealthy, ...row.degraded];
      noted.hidden = said.length === 0;
      notes.replaceChildren(...said.slice(0, 50).map((note) => el("li", {}, plain(note, 1000))));
      lost.replaceChildren(lossesOf(row));
    },
    close() {},
  };
}

function facts(list, pairs) {
  while (list.children.length > pairs.length) list.lastChild.remove();
  while (list.children.length < pairs.length) list.append(el("div", {}, el("dt"), el("dd")));
  for (const [place, [name, value]] of pairs.entries()) {
    say(list.children[place].children[0], name);
    say(list.children[place].children[1], value);
  }
}

function costOf(agent) {
  const { cost } = agent;
  const running = Math.max(1, world.time / 1000 - agent.started);
  const pace = world.pace;
  return [
    ["Version", plain(agent.version)],
    ["Running for", spanOf(running)],
    ["CPU now", pace ? percentOf(pace.cpu) : "measuring"],
    ["CPU since its start", `${percentOf(cost.cpu_seconds / running)} of a core (${spanOf(cost.cpu_seconds)})`],
    ["Its kernel programs", agent.kernel_ns > 0 ? spanOf(agent.kernel_ns / 1e9) : "not counted (kernel.bpf_stats_enabled)"],
    ["Memory", `${bytesOf(cost.rss_bytes)}, at most ${bytesOf(cost.peak_rss_bytes)}`],
    ["Wake-ups", pace ? `${digits(pace.wakeups, 1)} a second, this page's included` : "measuring"],
    ["Processes known", digits(agent.processes, 0)],
    ["Events told", `${digits(agent.seq, 0)}; starts and ends of ${plain(agent.told)} processes`],
    ["Records", agent.records.map(([kind, count]) => `${digits(count, 0)} ${plain(kind, 20)}`).join(", ")],
    ["Judging", agent.in_doubt ? "no: records were lost, and the table is not right yet" : agent.grace ? `in ${spanOf(agent.grace)} (start grace)` : agent.judging ? "yes" : "not yet"],
  ];
}

function troubleOf(what, way) {
  return way.last_error ? `${what}: ${plain(way.last_error, 300)}` : what;
}

function waysOf(row) {
  const pairs = row.collectors.map((way) => [
    `Collector ${plain(way.name, 120)}`,
    `${way.healthy ? "takes events" : troubleOf("does not take events", way)}; ${digits(way.sent, 0)} sent, ${digits(way.queued, 0)} waiting`,
  ]);
  for (const way of row.notify) {
    pairs.push([`${plain(way.kind, 20)} ${plain(way.name, 80)}`, `${way.healthy ? "well" : troubleOf("failing", way)}; ${digits(way.sent, 0)} sent, ${digits(way.pending, 0)} waiting, ${digits(way.failed, 0)} failed`]);
  }
  pairs.push(["Local history", `${bytesOf(row.spool.bytes)} of ${bytesOf(row.spool.max)}${row.spool.failing ? `; the disk takes no events: ${plain(row.spool.failing, 300)}` : ""}`]);
  if (row.collectors.length === 0) pairs.unshift(["Collector", "none: events go to standard output and to the local history"]);
  return pairs;
}

function lossesOf(row) {
  const all = [...row.lost, ...row.dropped];
  if (all.length === 0) return el("p", {}, "Nothing.");
  const head = ["Where", "Why", "How many"].map((title) => el("th", { scope: "col" }, title));
  return el("table", { class: "plain" }, el("caption", { class: "unseen" }, "Losses since the start"), el("thead", {}, el("tr", {}, ...head)),
    el("tbody", {}, ...all.slice(0, 100).map((loss) => el("tr", {}, el("th", { scope: "row" }, plain(loss.place ?? loss.where ?? "", 80)),
      el("td", {}, plain(loss.reason, 120)), el("td", { class: "number" }, digits(loss.count, 0))))));
}
