// Jobs: how the last run of each went, when the next is due, and the days behind in a calendar.

const DAYS = 7;
const RUNS_MAX = 5000;
const OUTCOMES = {
  "procprobe.job.succeeded": ["good", "succeeded"],
  "procprobe.job.failed": ["bad", "failed"],
  "procprobe.job.missed": ["missed", "missed"],
  "procprobe.job.overran": ["late", "too long"],
  "procprobe.job.overlapped": ["late", "overlapped"],
};

function jobsView() {
  const calendar = calendarOf();
  const table = new Table({
    caption: "Jobs",
    sort: "name",
    empty: "No job is declared: policies name them.",
    narrow: "jobs",
    columns: [
      textColumn("name", "Job", (item) => plain(item.name, 200)),
      {
        key: "state", title: "State", by: (item) => -item.rank,
        make: (cell) => cell.appendChild(statePill()),
        draw: (cell, item, pill) => setPill(pill, item.worst?.state ?? "healthy", item.worst?.severity),
      },
      textColumn("last", "Last run", (item) => lastRun(item.row), { by: (item) => negated(item.row.last?.ended) }),
      textColumn("next", "Next", (item) => (item.row.next ? momentOf(item.row.next * 1000) : "-"), { by: (item) => item.row.next ?? null }),
      textColumn("missed", "Missed", (item) => digits(item.row.missed, 0), { number: true, by: (item) => -item.row.missed }),
      textColumn("schedule", "Schedule", (item) => (item.row.schedule ? `${plain(item.row.schedule)} ${plain(item.row.timezone ?? "")}` : "none"), { wide: true }),
    ],
  });
  const node = el("div", {}, el("h1", { class: "unseen" }, "Jobs"),
    el("section", { "aria-labelledby": "jobs-title" }, el("h2", { id: "jobs-title" }, "Jobs"), table.node), calendar.node);
  return {
    node,
    title: "Jobs",
    filter: table.input,
    draw() {
      const jobs = world.of("job");
      table.show(jobs.map(([name, row]) => {
        const worst = row.alarms.reduce((found, each) => (found && WORSE.indexOf(found.state) >= WORSE.indexOf(each.state) ? found : each), null);
        return { key: name, name, text: name, row, worst, rank: worst ? WORSE.indexOf(worst.state) : 0 };
      }));
      calendar.draw(jobs);
    },
    close: () => table.close(),
  };
}

function lastRun(row) {
  if (row.running.length > 0) return `running for ${spanOf(world.ago(row.running[0].started))}`;
  if (!row.last) return "none seen";
  return `${plain(row.last.outcome)} ${momentOf(row.last.ended * 1000)}, took ${spanOf(row.last.duration)}`;
}

// The day of a moment, by the reader's zone.
function dayOf(milliseconds) {
  const time = new Date(milliseconds);
  return new Date(time.getFullYear(), time.getMonth(), time.getDate()).getTime();
}

function daysUntil(now) {
  const days = [];
  const day = new Date(dayOf(now));
  for (let back = DAYS - 1; back >= 0; back -= 1) days.push(new Date(day.getFullYear(), day.getMonth(), day.getDate() - back).getTime());
  return days;
}

function calendarOf() {
  let asked = "";
  let askedAt = 0;
  let told = [];
  const words = el("p", { class: "quiet", role: "status" });
  const caption = el("caption", { class: "unseen" }, "Runs of each job by day");
  const table = el("table", { class: "plain calendar" }, caption);
  const node = el("section", { "aria-labelledby": "calendar-title" }, el("h2", { id: "calendar-title" }, `The last ${DAYS} days`), words, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Calendar of runs" }, table));

  async function fetchTold(jobs) {
    try {
      told = await eventsOf("procprobe.job.*", `${DAYS}d`, RUNS_MAX);
      say(words, told.length >= RUNS_MAX ? `The newest ${digits(RUNS_MAX, 0)} events of jobs.` : "Each mark is a run: ✓ succeeded, ✗ failed, ! missed, … too long or overlapping. ◷ is the next one.");
    } catch (error) {
      say(words, `The history is not there: ${plain(error.message)}`);
    }
    show(jobs);
  }

  function show(jobs) {
    const now = world.time;
    const days = daysUntil(now);
    const head = el("tr", {}, el("th", { scope: "col" }, "Job"), ...days.map((day) => {
      const date = new Date(day);
      return el("th", { scope: "col" }, `${date.toLocaleString("en", { weekday: "short" })} ${date.getDate()}`);
    }), el("th", { scope: "col" }, "Next"));
    const rows = jobs.slice(0, 200).map(([name, row]) => {
      const own = told.filter((event) => event.attributes?.["job.name"] === name && OUTCOMES[event.name]);
      const cells = days.map((day) => dayCell(own.filter((event) => dayOf(Date.parse(event.time)) === day)));
      return el("tr", {}, el("th", { scope: "row" }, plain(name, 80)), ...cells,
        el("td", {}, row.next ? `◷ ${momentOf(row.next * 1000)}` : "-"));
    });
    table.replaceChildren(caption, el("thead", {}, head), el("tbody", {}, ...rows));
    node.hidden = jobs.length === 0;
  }

  return {
    node,
    // Asked again when a job has changed, and not more often than every few seconds.
    draw(jobs) {
      const now = JSON.stringify(jobs.map(([name, row]) => [name, row.last?.ended, row.missed, row.running.length, row.next]));
      if (now === asked || Date.now() - askedAt < 3000) return;
      asked = now;
      askedAt = Date.now();
      fetchTold(jobs);
    },
  };
}

const MARKS = { good: "✓", bad: "✗", missed: "!", late: "…" };
const MARKS_MAX = 6;

function dayCell(events) {
  const cell = el("td");
  const kinds = new Map();
  for (const event of events) {
    const [kind, word] = OUTCOMES[event.name];
    kinds.set(kind, [...(kinds.get(kind) ?? []), word]);
  }
  for (const [kind, words] of kinds) {
    const text = words.length > MARKS_MAX ? `${MARKS[kind]} ${words.length}` : MARKS[kind].repeat(words.length);
    cell.append(el("span", { class: "runs", "data-kind": kind, role: "img", "aria-label": `${words.length} ${words[0]}`, title: `${words.length} ${words[0]}` }, text));
  }
  return cell;
}
