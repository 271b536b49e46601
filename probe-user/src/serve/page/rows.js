// A table of any length of which only the rows in sight are elements.
//
// Rows above and below are two empty rows of their height; a screen reader is told how many there are in all and which one each
// is. Columns: {key, title, by(item), draw(cell, item, drawn), make(cell), wide, number}; `by` is what is sorted by.

const BEYOND = 8;
// Drawn while the table is below what is in sight: to be searched by the browser, and reached by its keys.
const BEGINNING = 30;

class Table {
  constructor({ caption, columns, sort, empty, narrow }) {
    this.columns = columns;
    this.sort = sort;
    this.down = false;
    this.filter = "";
    this.items = [];
    this.shown = [];
    this.drawn = new Map();
    this.height = 37;
    this.empty = empty;
    this.headers = columns.map((column) => this.header(column));
    this.top = el("tr", { class: "spacer", "aria-hidden": "true" }, el("td", { colspan: columns.length }));
    this.bottom = el("tr", { class: "spacer", "aria-hidden": "true" }, el("td", { colspan: columns.length }));
    this.nothing = el("tr", { class: "nothing" }, el("td", { colspan: columns.length }));
    this.body = el("tbody", { on: { keydown: (event) => this.key(event) } }, this.top, this.bottom);
    const head = el("thead", {}, el("tr", { "aria-rowindex": 1 }, ...this.headers));
    this.table = el("table", { class: `rows ${narrow ?? ""}` }, el("caption", { class: "unseen" }, caption), head, this.body);
    this.input = el("input", { type: "search", placeholder: "Filter", "aria-label": `Filter: ${caption}`, class: "filter", on: { input: () => this.narrow() } });
    this.count = el("span", { class: "count", role: "status" });
    this.node = el("div", { class: "table" }, el("div", { class: "bar" }, this.input, this.count), this.table);
    this.inSight = () => this.draw();
    addEventListener("scroll", this.inSight, { passive: true });
    addEventListener("resize", this.inSight, { passive: true });
  }

  close() {
    removeEventListener("scroll", this.inSight);
    removeEventListener("resize", this.inSight);
  }

  header(column) {
    const sign = el("span", { class: "sign", "aria-hidden": "true" });
    const button = el("button", { type: "button", on: { click: () => this.order(column) } }, column.title, sign);
    return el("th", { scope: "col", class: classOf(column) }, button);
  }

  order(column) {
    if (this.sort === column.key) this.down = !this.down;
    else [this.sort, this.down] = [column.key, false];
    this.show(this.items);
  }

  narrow() {
    this.filter = this.input.value.trim().toLowerCase();
    this.show(this.items);
  }

  // Items: {key, text, ...}; `text` is what a filter looks at.
  show(items) {
    this.items = items;
    const column = this.columns.find((each) => each.key === this.sort);
    const fits = this.filter === "" ? [...items] : items.filter((item) => item.text.toLowerCase().includes(this.filter));
    const sign = this.down ? -1 : 1;
    fits.sort((a, b) => sign * order(column.by(a), column.by(b)) || order(a.text, b.text) || order(a.key, b.key));
    this.shown = fits;
    for (const [place, header] of this.headers.entries()) {
      const own = this.columns[place].key === this.sort;
      mark(header, "aria-sort", own ? (this.down ? "descending" : "ascending") : null);
      say(header.querySelector(".sign"), own ? (this.down ? "↑" : "↓") : "");
    }
    mark(this.table, "aria-rowcount", fits.length + 1);
    say(this.count, fits.length === items.length ? many(items.length, "row") : `${digits(fits.length, 0)} of ${many(items.length, "row")}`);
    this.draw();
  }

  // From the first row in sight to the last, and some beyond.
  window() {
    const above = -this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(above / this.height) - BEYOND);
    const last = Math.max(first === 0 ? BEGINNING : first, Math.ceil((above + innerHeight) / this.height) + BEYOND);
    return [Math.min(first, this.shown.length), Math.min(last, this.shown.length)];
  }

  draw() {
    if (!this.node.isConnected) return;
    const [first, last] = this.window();
    const wanted = this.shown.slice(first, last);
    const keys = new Set(wanted.map((item) => item.key));
    for (const [key, row] of this.drawn) {
      if (!keys.has(key)) {
        row.node.remove();
        this.drawn.delete(key);
      }
    }
    let before = this.top;
    for (const [place, item] of wanted.entries()) {
      const row = this.drawn.get(item.key) ?? this.make(item.key);
      if (before.nextSibling !== row.node) before.after(row.node);
      before = row.node;
      mark(row.node, "aria-rowindex", first + place + 2);
      row.place = first + place;
      for (const [index, column] of this.columns.entries()) column.draw(row.cells[index], item, row.drawn[index]);
    }
    this.room(this.top, first);
    this.room(this.bottom, this.shown.length - last);
    this.sayNothing();
    const one = this.drawn.values().next().value;
    if (one && one.node.offsetHeight > 0) this.height = one.node.offsetHeight;
  }

  make(key) {
    const drawn = [];
    const cells = this.columns.map((column, index) => {
      const cell = el(index === 0 ? "th" : "td", { class: classOf(column), scope: index === 0 ? "row" : null });
      drawn.push(column.make?.(cell));
      return cell;
    });
    const row = { node: el("tr", {}, ...cells), cells, drawn, place: 0 };
    this.drawn.set(key, row);
    return row;
  }

  room(spacer, rows) {
    spacer.firstChild.style.height = `${rows * this.height}px`;
    spacer.hidden = rows === 0;
  }

  sayNothing() {
    if (this.shown.length > 0) return this.nothing.remove();
    say(this.nothing.firstChild, this.items.length > 0 ? "No row has this text." : this.empty);
    if (!this.nothing.isConnected) this.top.after(this.nothing);
  }

  // Arrows go from row to row, also to those that are not drawn yet.
  key(event) {
    const row = [...this.drawn.values()].find((each) => each.node.contains(event.target));
    const steps = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    if (!row || !(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const place = Math.min(this.shown.length - 1, Math.max(0, row.place + steps[event.key]));
    const at = this.body.getBoundingClientRect().top + place * this.height;
    const lowest = innerHeight - 3 * this.height;
    if (at < 3 * this.height) scrollBy(0, at - 3 * this.height);
    else if (at > lowest) scrollBy(0, at - lowest);
    this.draw();
    const next = this.drawn.get(this.shown[place].key);
    next?.node.querySelector("a, button")?.focus({ preventScroll: true });
  }
}

function classOf(column) {
  return [column.wide ? "wide" : "", column.number ? "number" : "", `c-${column.key}`].join(" ").trim();
}

// Numbers before texts; what is not known comes last.
function order(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  return a < b ? -1 : 1;
}

function textColumn(key, title, text, more) {
  return { key, title, by: text, draw: (cell, item) => say(cell, text(item)), ...more };
}
