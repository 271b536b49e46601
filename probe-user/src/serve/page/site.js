// Peers: who is there, zone by zone, what is held of each, and how far away it is.

const VERDICTS = {
  alive: ["healthy", "alive"], suspect: ["pending", "suspect"], host_down: ["firing", "host down"], agent_down: ["firing", "agent down"],
  path_down: ["pending", "path down"], unknown: ["unknown", "unknown"], left: ["unknown", "left"], down: ["firing", "down"],
};
const PEERS_MAX = 500;

function siteView() {
  const words = el("p");
  const notes = el("ul", { class: "quiet" });
  const zones = el("div", { class: "zones" });
  const node = el("div", {}, el("h1", {}, "Peers"), words, notes, zones);
  return {
    node,
    title: "Peers",
    draw() {
      const site = world.rows.get("site");
      const all = world.of("peer").sort((a, b) => order(a[0], b[0]));
      if (!site) {
        say(words, "No peers are configured: with `peers` in the configuration, hosts of a site watch each other.");
        return zones.replaceChildren();
      }
      const well = site.isolated ? "This host reaches too few of the others, and speaks of nobody." : `This host reaches ${site.reached} of ${site.asked}.`;
      say(words, `${many(all.length, "host")}. ${well}${all.length > PEERS_MAX ? ` The first ${PEERS_MAX} are drawn.` : ""}`);
      notes.replaceChildren(...site.notes.slice(0, 20).map((note) => el("li", {}, plain(note, 400))));
      const byZone = new Map();
      for (const [name, row] of all.slice(0, PEERS_MAX)) byZone.set(row.zone, [...(byZone.get(row.zone) ?? []), [name, row]]);
      zones.replaceChildren(...[...byZone].sort((a, b) => order(a[0], b[0])).map(([zone, members]) => {
        const bad = members.filter(([, row]) => verdictOf(row)[0] === "firing").length;
        return el("section", { class: "zone", "aria-label": `Zone ${plain(zone || "without a name", 80)}` },
          el("h2", {}, zone ? `Zone ${plain(zone, 80)}` : "No zone", el("span", { class: "quiet" }, ` ${many(members.length, "host")}${bad ? `, ${bad} down` : ""}`)),
          el("ul", { class: "peers" }, ...members.map(peerItem)));
      }));
    },
    close() {},
  };
}

function verdictOf(row) {
  const held = row.verdict && row.verdict !== "alive" ? row.verdict : row.state;
  return VERDICTS[held] ?? ["unknown", plain(held, 40)];
}

function peerItem([name, row]) {
  const [state, word] = verdictOf(row);
  const pill = el("span", { class: "pill", "data-state": state, "data-severity": state === "firing" ? "critical" : null }, word);
  const trip = row.myself ? "this host" : typeof row.round_trip === "number" ? `${digits(row.round_trip * 1000, 2)} ms` : "no round trip";
  const collector = row.collector === "lost" ? "; has lost its collector" : "";
  const incident = row.incident ? `; incident ${plain(row.incident, 60)}` : "";
  return el("li", { "data-state": state }, el("div", { class: "bar" }, el("strong", {}, plain(name, 100)), pill),
    el("p", { class: "quiet" }, `${plain(row.address, 60)}, ${trip}, for ${spanOf(world.ago(row.since))}${collector}${incident}`));
}
