// Elements. Text becomes text nodes and nothing else: there is no way here to hand in markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function el(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

// Only what changes is written, so that nobody's selection is lost and a screen reader hears of changes alone.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function mark(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value === true ? "" : String(value));
  }
}

function byId(id) {
  return document.getElementById(id);
}

// Where a bound stands, in a word and a colour.
const STATES = { healthy: "healthy", unknown: "unknown", pending: "pending", firing: "FIRING" };
const WORSE = ["healthy", "unknown", "pending", "firing"];

function statePill() {
  return el("span", { class: "pill" });
}

function setPill(pill, state, severity) {
  say(pill, STATES[state] ?? plain(state));
  mark(pill, "data-state", state);
  mark(pill, "data-severity", state === "firing" ? severity : null);
}

// How near a value is to its limit: a bar for the eye, a number for everybody.
function nearBar() {
  const bar = el("span", { class: "near" }, el("span", { class: "near-fill" }));
  return el("span", { class: "near-cell" }, bar, el("span", { class: "near-text" }));
}

function setNear(cell, near, state) {
  const [bar, text] = cell.children;
  const known = near !== null && near !== undefined;
  bar.firstChild.style.width = known ? `${Math.min(100, Math.max(0, near * 100))}%` : "0";
  mark(bar, "data-level", state === "firing" || near > 1 ? "over" : near >= 0.8 ? "close" : "far");
  say(text, known ? percentOf(near) : "");
}

// A choice among a few: radio buttons that look like one control.
function choice(label, name, options, chosen, changed) {
  const inputs = options.map(([value, text]) => {
    const input = el("input", { type: "radio", name, value, checked: value === chosen, on: { change: () => changed(value) } });
    return el("label", {}, input, el("span", {}, text));
  });
  return el("fieldset", { class: "choice" }, el("legend", { class: "unseen" }, label), ...inputs);
}
