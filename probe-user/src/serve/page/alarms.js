// Alarms: those that are on, with their evidence, and what was on before.

const SPANS = [["1h", "1 h"], ["24h", "24 h"], ["7d", "7 d"]];
const SECONDS = { "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800 };
const TOLD_MAX = 2000;
const LISTED_MAX = 200;
const LANES_MAX = 16;
const AGAIN_AFTER = 30000;

// The alarms that are on. Also when nothing is: that is what one looks for.
function firingList() {
  const list = el("ul", { class: "alarms" });
  const title = el("h2", { id: "firing-title" });
  const node = el("section", { "aria-labelledby": "firing-title", class: "firing" }, title, list);
  const drawn = new Map();
  return {
    node,
    draw() {
      const on = world.rows.get("alarms") ?? { alarms: [], left_out: 0 };
      const none = on.alarms.length === 0;
      say(title, none ? "Nothing fires" : many(on.alarms.length + on.left_out, "alarm is on", "alarms are on"));
      mark(node, "data-none", none);
      const keys = on.alarms.map((alarm, place) => `${alarm.name} ${alarm.event?.id ?? place}`);
      for (const [key, item] of drawn) {
        if (!keys.includes(key)) {
          item.remove();
          drawn.delete(key);
        }
      }
      for (const [place, alarm] of on.alarms.slice(0, LISTED_MAX).entries()) {
        if (!drawn.has(keys[place])) drawn.set(keys[place], alarmItem(alarm.event, alarm.name));
        const item = drawn.get(keys[place]);
        if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
        const since = Date.parse(alarm.event?.attributes?.since ?? alarm.event?.time ?? "");
        say(item.querySelector(".when"), Number.isNaN(since) ? "" : `for ${spanOf(world.ago(since / 1000))}`);
      }
    },
  };
}

// One event of an alarm, with what speaks for it.
function alarmItem(event, name) {
  const facts = event?.attributes ?? {};
  const over = event?.name === "procprobe.policy.resolved";
  const severity = over ? "resolved" : event?.severity;
  const policy = facts["policy.name"];
  const pill = el("span", { class: "pill", "data-state": over ? "healthy" : "firing", "data-severity": severity }, over ? "over" : plain(severity ?? "alarm"));
  const head = el("div", { class: "alarm-head" }, pill,
    facts["policy.kind"] === "group" && policy ? el("a", { href: groupPath(policy) }, plain(name, 200)) : el("strong", {}, plain(name, 200)),
    el("span", { class: "when quiet" }));
  const sentence = event?.body ?? (event ? "" : "An earlier daemon told it; its words are in the timeline.");
  const item = el("li", { "data-severity": severity }, head, el("p", { class: "sentence" }, plain(sentence, 800)));
  const evidence = Array.isArray(facts.evidence) ? facts.evidence.filter((each) => each) : [];
  if (evidence.length > 0) {
    item.append(el("details", {}, el("summary", {}, `Evidence: ${many(evidence.length, "item")}`),
      el("ul", { class: "evidence" }, ...evidence.slice(0, 20).map(evidenceItem))));
  }
  if (event?.hidden) item.append(el("p", { class: "quiet" }, "Arguments and lines are shown to who has a token (http.token_file)."));
  return item;
}

function evidenceItem(facts) {
  const known = { "process.command_args": (value) => (Array.isArray(value) ? value.join(" ") : value), time: (value) => momentOf(Date.parse(value)) };
  const parts = Object.entries(facts).filter(([, value]) => value !== false && value !== null);
  return el("li", {}, el("dl", {}, ...parts.map(([name, value]) => {
    const written = known[name] ? known[name](value) : typeof value === "object" ? JSON.stringify(value) : value;
    return el("div", {}, el("dt", {}, plain(name, 80)), el("dd", {}, plain(written, 600)));
  })));
}

function alarmName(event) {
  const facts = event.attributes ?? {};
  const parts = [facts["policy.name"] ?? "?", facts.measure, facts.bound, facts.instance];
  return parts.filter((part) => part !== undefined).join(".");
}

// What was told about alarms, drawn as lanes and as a list. `policy`: of that one alone.
function timeline(policy) {
  let span = "24h";
  let asked = -1;
  let askedAt = 0;
  let told = [];
  const lanes = el("div", { class: "lanes" });
  const list = el("ol", { class: "alarms", reversed: true });
  const words = el("p", { class: "quiet", role: "status" });
  const pick = choice("How far back", `span-${policy ?? "all"}`, SPANS, span, (value) => {
    span = value;
    asked = -1;
    draw();
  });
  const title = el("h2", { id: "timeline-title" }, "Timeline");
  const node = el("section", { "aria-labelledby": "timeline-title" }, el("div", { class: "bar" }, title, pick), words, lanes, list);

  async function fetchTold() {
    const own = span;
    try {
      const events = await eventsOf("procprobe.policy.*", own, TOLD_MAX);
      if (own !== span) return;
      told = events.filter((event) => policy === undefined || event.attributes?.["policy.name"] === policy);
      show(events.length >= TOLD_MAX);
    } catch (error) {
      say(words, `The history is not there: ${plain(error.message)}`);
    }
  }

  function show(cut) {
    const from = world.time / 1000 - SECONDS[span];
    const spells = spellsOf(told, from);
    say(words, told.length === 0 ? "No alarm in this time." : `${many(told.length, "turn")} of ${many(spells.size, "alarm")}${cut ? "; older ones are left out" : ""}${told.length > LISTED_MAX ? `; the newest ${LISTED_MAX} are listed` : ""}`);
    lanes.replaceChildren(...(spells.size === 0 ? [] : [lanesOf(spells, from, world.time / 1000)]));
    list.replaceChildren(...told.slice(-LISTED_MAX).reverse().map((event) => {
      const item = alarmItem(event, alarmName(event));
      say(item.querySelector(".when"), momentOf(Date.parse(event.time)));
      return item;
    }));
  }

  function draw() {
    if (asked === world.turns && Date.now() - askedAt < AGAIN_AFTER) return;
    asked = world.turns;
    askedAt = Date.now();
    fetchTold();
  }
  return { node, draw };
}

// Of each alarm from when to when it was on; an end without a beginning began before.
function spellsOf(told, from) {
  const spells = new Map();
  for (const event of told) {
    const name = alarmName(event);
    const own = spells.get(name) ?? spells.set(name, []).get(name);
    const at = Date.parse(event.time) / 1000;
    const open = own.at(-1)?.to === null ? own.at(-1) : null;
    if (event.name === "procprobe.policy.firing") {
      if (!open) own.push({ from: at, to: null, severity: event.severity });
    } else if (open) open.to = at;
    else own.push({ from: Math.max(from, at - (event.attributes?.duration ?? 0)), to: at, severity: event.severity });
  }
  return spells;
}

function lanesOf(spells, from, to) {
  const lanes = [...spells].sort((a, b) => (b[1].at(-1)?.from ?? 0) - (a[1].at(-1)?.from ?? 0)).slice(0, LANES_MAX);
  const height = 14;
  const at = (seconds) => ((Math.min(to, Math.max(from, seconds)) - from) / (to - from)) * 1000;
  return el("div", { class: "lane-list" }, ...lanes.map(([name, own]) => {
    const bars = own.map((spell) => svg("rect", {
      "data-severity": spell.severity, x: at(spell.from), y: 1, height: height - 2, width: Math.max(8, at(spell.to ?? to) - at(spell.from)),
    }));
    const on = own.reduce((sum, spell) => sum + (spell.to ?? to) - spell.from, 0);
    const label = `${plain(name, 120)}: on ${many(own.length, "time")}, ${spanOf(on)} in all`;
    return el("div", { class: "lane" }, el("span", { class: "lane-name" }, plain(name, 120)),
      svg("svg", { role: "img", "aria-label": label, viewBox: `0 0 1000 ${height}`, preserveAspectRatio: "none" }, ...bars));
  }));
}

function alarmsView() {
  const firing = firingList();
  const past = timeline();
  return {
    node: el("div", {}, el("h1", { class: "unseen" }, "Alarms"), firing.node, past.node),
    title: "Alarms",
    draw() {
      firing.draw();
      past.draw();
    },
    close() {},
  };
}
