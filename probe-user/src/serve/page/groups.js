// The first view: what fires, how near each group is to its bounds, and what else is watched.

function groupsView() {
  const firing = firingList();
  const meters = el("div", { class: "meters" });
  const others = el("section", { "aria-labelledby": "others-title" }, el("h2", { id: "others-title" }, "Host, logs and sets of peers"), meters);
  const table = new Table({
    caption: "Groups",
    sort: "state",
    empty: "No group is declared: policies name them.",
    narrow: "groups",
    columns: [
      {
        key: "name", title: "Group", by: (item) => item.text,
        make: (cell) => cell.appendChild(el("a", {})),
        draw: (cell, item, link) => {
          say(link, plain(item.name, 200));
          mark(link, "href", groupPath(item.name));
        },
      },
      {
        key: "state", title: "State", by: (item) => -item.rank,
        make: (cell) => cell.appendChild(statePill()),
        draw: (cell, item, pill) => setPill(pill, item.worst?.state ?? "healthy", item.worst?.severity),
      },
      textColumn("members", "Count", (item) => digits(item.row.members, 0), { number: true, by: (item) => -item.row.members }),
      textColumn("cpu", "CPU", (item) => used(item, "cpu"), { number: true, by: (item) => negated(item.row.usage?.cpu) }),
      textColumn("memory", "Memory", (item) => used(item, "memory"), { number: true, by: (item) => negated(item.row.usage?.memory_bytes) }),
      {
        key: "near", title: "Near", by: (item) => negated(item.worst?.near),
        make: (cell) => cell.appendChild(nearBar()),
        draw: (cell, item, bar) => setNear(bar, item.worst?.near, item.worst?.state),
      },
      textColumn("bound", "Bound", (item) => (item.worst ? `${titleOf(item.worst.measure)}: ${limitOf(item.worst)}` : "none"), { wide: true }),
    ],
  });
  const node = el("div", {},
    el("h1", { class: "unseen" }, "Groups"),
    firing.node,
    others,
    el("section", { "aria-labelledby": "groups-title" }, el("h2", { id: "groups-title" }, "Groups"), table.node));
  return {
    node,
    title: "Groups",
    filter: table.input,
    draw() {
      firing.draw();
      drawMeters(others, meters);
      table.show(world.of("group").map(([name, row]) => {
        const worst = worstOf(row.bounds);
        const rank = worst ? WORSE.indexOf(worst.state) * 1e6 + Math.min(worst.near ?? 0, 1e5) : 0;
        return { key: name, name, text: name, row, worst, rank };
      }));
    },
    close: () => table.close(),
  };
}

function groupPath(name) {
  return `#/group/${encodeURIComponent(name)}`;
}

function negated(value) {
  return value === null || value === undefined ? null : -value;
}

// "-" where no bound asks for samples, so that none is taken.
function used(item, measure) {
  const usage = item.row.usage ?? {};
  if (measure === "cpu") return usage.cpu === undefined ? "-" : coresOf(usage.cpu);
  return usage.memory_bytes === undefined ? "-" : bytesOf(usage.memory_bytes);
}

const METERS_MAX = 60;

// Bounds that are of no group, each against what it judges.
function otherBounds() {
  const found = [];
  for (const [name, row] of world.of("host")) {
    for (const each of row.instances) {
      const bound = { ...row, ...each };
      const where = each.instance ? `${titleOf(row.measure)} ${plain(each.instance, 60)}` : titleOf(row.measure);
      found.push({ key: `host ${name} ${each.instance ?? ""}`, title: where, bound, share: row.share, why: each.unknown });
    }
  }
  for (const [name, row] of world.of("log")) {
    for (const bound of row.bounds) found.push({ key: `log ${bound.name}`, title: `Log ${plain(name, 60)}`, bound, share: false });
  }
  for (const [name, row] of world.of("peers")) {
    for (const [place, bound] of row.bounds.entries()) {
      found.push({ key: `peers ${bound.name}`, title: `Peers ${plain(name, 60)}: ${titleOf(bound.measure)}`, bound, share: row.shares[place] });
    }
  }
  return found;
}

function drawMeters(section, list) {
  const all = otherBounds();
  section.hidden = all.length === 0;
  const shown = all.slice(0, METERS_MAX);
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  list.replaceChildren(...shown.map((each) => {
    const node = old.get(each.key) ?? meter(each.key);
    const [title, value, near, limit] = node.children;
    say(title, each.title);
    say(value, each.why ? plain(each.why) : valueOf(each.bound.measure, each.bound.value, each.share));
    setNear(near, each.bound.near, each.bound.state);
    say(limit, limitOf(each.bound, each.share));
    mark(node, "data-state", each.bound.state);
    return node;
  }));
  if (all.length > shown.length) list.append(el("p", {}, `and ${many(all.length - shown.length, "more", "more")}`));
}

function meter(key) {
  return el("div", { class: "meter", "data-key": key },
    el("span", { class: "meter-title" }), el("strong", {}), nearBar(), el("span", { class: "quiet" }));
}
