// What is written: figures for people, and text from outside made harmless to look at.

// Controls, and characters that turn the order of what follows around. The daemon has escaped them already; this page does
// not depend on it. Nothing here is ever taken for markup: all text goes into text nodes.
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
const TEXT_MAX = 2000;

function plain(text, most = TEXT_MAX) {
  const all = String(text ?? "");
  const cut = all.length > most ? `${all.slice(0, most)}…` : all;
  return cut.replace(UNPRINTABLE, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);
}

function digits(value, most) {
  return value.toLocaleString("en", { maximumFractionDigits: most, useGrouping: true });
}

function bytesOf(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  let left = value;
  while (Math.abs(left) >= 1024 && unit < units.length - 1) {
    left /= 1024;
    unit += 1;
  }
  return `${digits(left, unit === 0 || left >= 100 ? 0 : 1)} ${units[unit]}`;
}

function coresOf(value) {
  return value === 0 ? "0" : value < 0.01 ? "<0.01" : digits(value, value < 10 ? 2 : 1);
}

function percentOf(ratio) {
  return `${digits(ratio * 100, ratio < 0.1 ? 1 : 0)} %`;
}

function spanOf(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (seconds > 0 && seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (whole < 60) return `${seconds < 10 ? digits(seconds, 1) : whole} s`;
  const two = (large, unit, small, smaller) => (small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smaller}`);
  if (whole < 3600) return two(Math.floor(whole / 60), "m", whole % 60, "s");
  if (whole < 86400) return two(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "m");
  return two(Math.floor(whole / 86400), "d", Math.floor((whole % 86400) / 3600), "h");
}

// "12:01:33" of today, "21 Nov 12:01" of another day; the reader's own zone.
function momentOf(milliseconds, now = Date.now()) {
  const time = new Date(milliseconds);
  const two = (number) => String(number).padStart(2, "0");
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}`;
  if (time.toDateString() === new Date(now).toDateString()) return `${clock}:${two(time.getSeconds())}`;
  return `${time.getDate()} ${time.toLocaleString("en", { month: "short" })} ${clock}`;
}

// How each measure is written, and what its chart is called. `axis`: what a chart's top is a round number of, and the least top.
const MEASURES = {
  count: { title: "Processes", write: (value) => digits(value, 0) },
  threads: { title: "Threads", write: (value) => digits(value, 0) },
  cpu: { title: "CPU", write: (value) => `${coresOf(value)} ${value === 1 ? "core" : "cores"}`, axis: "tens", least: 0.1 },
  cpu_wait: { title: "CPU wait", write: (value) => `${coresOf(value)} ${value === 1 ? "core" : "cores"}`, axis: "tens", least: 0.1 },
  memory: { title: "Memory", write: bytesOf, axis: "twos", least: 1024 },
  read: { title: "Read", write: (value) => `${bytesOf(value)}/s`, axis: "twos", least: 1024 },
  write: { title: "Written", write: (value) => `${bytesOf(value)}/s`, axis: "twos", least: 1024 },
  starts: { title: "Starts", write: (value) => digits(value, 0) },
  exits: { title: "Exits", write: (value) => digits(value, 0) },
  failures: { title: "Failures", write: (value) => digits(value, 0) },
  oom_kills: { title: "OOM kills", write: (value) => digits(value, 0) },
  age: { title: "Age", write: spanOf, axis: "tens", least: 10 },
  lines: { title: "Lines", write: (value) => digits(value, 0) },
  memory_available: { title: "Memory available", write: bytesOf },
  swap_used: { title: "Swap used", write: bytesOf },
  disk_free: { title: "Disk free", write: bytesOf },
  network_receive: { title: "Received", write: (value) => `${bytesOf(value)}/s` },
  network_transmit: { title: "Sent", write: (value) => `${bytesOf(value)}/s` },
  pressure_cpu: { title: "CPU pressure", write: percentOf },
  pressure_memory: { title: "Memory pressure", write: percentOf },
  pressure_io: { title: "I/O pressure", write: percentOf },
};

function titleOf(measure) {
  const known = MEASURES[measure];
  return known ? known.title : plain(measure).replaceAll("_", " ");
}

function valueOf(measure, value, share = false) {
  if (value === null || value === undefined) return "unknown";
  if (share) return percentOf(value);
  const known = MEASURES[measure];
  return known ? known.write(value) : digits(value, 2);
}

function limitOf(bound, share = false) {
  const within = bound.within ? ` within ${spanOf(bound.within)}` : "";
  return `${bound.bound === "min" ? "minimum" : "maximum"} ${valueOf(bound.measure, bound.limit, share)}${within}`;
}

function many(count, noun, plural = `${noun}s`) {
  return `${digits(count, 0)} ${count === 1 ? noun : plural}`;
}
