// What is known: the rows that the daemon has sent, and what the page has seen of the group that is looked at.

const SEEN_MAX = 1800;

const world = {
  rows: new Map(),
  // The daemon's time of the last frame, in milliseconds, and ours when it came.
  time: 0,
  came: 0,
  // Of the group that is looked at: [seconds, {measure: value}], as it came.
  seen: [],
  seenOf: null,
  // Pace of the probe itself.
  pace: null,
  // Whether alarms have changed since somebody asked.
  turns: 0,

  take(frame) {
    const before = this.rows.get("agent");
    const beforeTime = this.time;
    if (frame.first) this.rows.clear();
    for (const key of frame.gone) this.rows.delete(key);
    for (const [key, row] of Object.entries(frame.set)) this.rows.set(key, row);
    this.time = Date.parse(frame.time);
    this.came = Date.now();
    if (frame.first || "alarms" in frame.set) this.turns += 1;
    this.measure(before, (this.time - beforeTime) / 1000);
    this.see(this.time / 1000);
  },

  measure(before, seconds) {
    const now = this.rows.get("agent");
    if (!before || !now || before.pid !== now.pid || seconds <= 0) {
      this.pace = null;
      return;
    }
    this.pace = {
      cpu: (now.cost.cpu_seconds - before.cost.cpu_seconds) / seconds,
      wakeups: (now.cost.wakeups - before.cost.wakeups) / seconds,
      events: (now.seq - before.seq) / seconds,
    };
  },

  see(seconds) {
    if (link.group !== this.seenOf) {
      this.seenOf = link.group;
      this.seen = [];
    }
    const row = this.seenOf === null ? null : this.rows.get(`group/${this.seenOf}`);
    if (!row) return;
    this.seen.push([seconds, measuresOf(row)]);
    if (this.seen.length > SEEN_MAX) this.seen.shift();
  },

  // Members are of the group that was looked at before.
  forgetMembers() {
    for (const key of this.rows.keys()) if (key === "roster" || key.startsWith("process/")) this.rows.delete(key);
  },

  // All rows of a kind, as [name, row].
  of(kind) {
    const found = [];
    for (const [key, row] of this.rows) {
      if (key.startsWith(kind) && key[kind.length] === "/") found.push([key.slice(kind.length + 1), row]);
    }
    return found;
  },

  // Seconds since a moment of the daemon, by its own clock.
  ago(seconds) {
    return Math.max(0, this.time / 1000 - seconds);
  },
};

// Every value that a group has now.
function measuresOf(row) {
  const values = { count: row.members };
  const usage = row.usage ?? {};
  const named = { threads: usage.threads, cpu: usage.cpu, cpu_wait: usage.cpu_wait, memory: usage.memory_bytes, read: usage.read, write: usage.write };
  for (const [measure, value] of Object.entries(named)) if (value !== undefined) values[measure] = value;
  for (const bound of row.bounds) {
    if (!(bound.measure in values) && bound.value !== null) values[bound.measure] = bound.value;
  }
  return values;
}

// The bound that is worst off: the worst state, then the nearest.
function worstOf(bounds) {
  let worst = null;
  const rank = (bound) => WORSE.indexOf(bound.state) * 1e6 + Math.min(bound.near ?? -1, 1e5);
  for (const bound of bounds) if (worst === null || rank(bound) > rank(worst)) worst = bound;
  return worst;
}

// The newest of what was told, as [event, ...], oldest first.
async function eventsOf(glob, since, newest) {
  const answer = await ask(`/v1/events?name=${encodeURIComponent(glob)}&since=${since}&newest=${newest}`);
  const lines = (await answer.text()).split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
}
