// Puts the views together: which one is open, keys, theme, and how the daemon is reached.

const VIEWS = [["groups", "Groups", "#/"], ["alarms", "Alarms", "#/alarms"], ["jobs", "Jobs", "#/jobs"], ["peers", "Peers", "#/peers"], ["probe", "Probe", "#/probe"]];
const MAKERS = { groups: groupsView, alarms: alarmsView, jobs: jobsView, peers: siteView, probe: probeView };
const THEMES = ["system", "light", "dark"];
const THEME = "procprobe.theme";

let view = null;
let drawAsked = false;
const told = new Map();

// The address after "#" says which view is open.
function openView() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  const group = name === "group" ? decoded(rest.join("/")) : null;
  view?.close();
  view = group !== null ? groupView(group) : (MAKERS[name] ?? groupsView)();
  const own = group !== null || !MAKERS[name] ? "groups" : name;
  for (const entry of byId("views").querySelectorAll("a")) mark(entry, "aria-current", entry.dataset.view === own ? "page" : null);
  link.look(group);
  world.forgetMembers();
  show();
  scrollTo(0, 0);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function show() {
  byId("main").replaceChildren(link.state === "token" ? tokenForm() : world.time === 0 ? el("p", { class: "quiet" }, "Asking the daemon…") : view.node);
  draw();
}

function draw() {
  drawAsked = false;
  drawLink();
  const firing = world.rows.get("alarms");
  const count = firing ? firing.alarms.length + firing.left_out : 0;
  const host = plain(world.rows.get("agent")?.host ?? "", 100);
  document.title = `${count > 0 ? `(${count}) ` : ""}${view.title} · ${host ? `${host} · ` : ""}procprobe`;
  say(byId("host"), host ? `on ${host}` : "");
  const alarms = byId("views").querySelector("[data-view=alarms] .badge");
  say(alarms, count > 0 ? String(count) : "");
  if (link.state !== "token" && world.time !== 0) {
    if (view.node.parentNode !== byId("main")) byId("main").replaceChildren(view.node);
    view.draw();
  }
  tell(firing?.alarms ?? []);
}

// At most once for each picture of the screen, and not at all while nobody sees it.
function drawSoon() {
  if (drawAsked) return;
  drawAsked = true;
  if (document.hidden) setTimeout(draw, 1000);
  else requestAnimationFrame(draw);
}

const LINKS = { live: "live", connecting: "connecting", lost: "no answer", trouble: "no answer", token: "token needed" };

function drawLink() {
  const { state } = link;
  say(byId("link"), LINKS[state]);
  mark(byId("link"), "data-state", state);
  const stale = (state === "lost" || state === "trouble") && world.time !== 0;
  mark(document.body, "data-stale", stale);
  const banner = byId("stale");
  const since = momentOf(link.since);
  banner.hidden = state !== "lost" && state !== "trouble";
  const why = state === "trouble" ? link.why : `${link.why}; it is asked again and again`;
  say(banner, banner.hidden ? "" : `No answer since ${since}: ${why}.${stale ? " What you see is of then." : ""}`);
}

// A screen reader hears of alarms that begin and end, once each.
function tell(alarms) {
  const now = new Map(alarms.map((alarm) => [alarm.name, plain(alarm.event?.body ?? alarm.name, 200)]));
  const words = [];
  for (const [name, sentence] of now) if (!told.has(name)) words.push(`Alarm: ${sentence}`);
  for (const name of told.keys()) if (!now.has(name)) words.push(`Over: ${plain(name, 100)}`);
  if (words.length === 0) return;
  told.clear();
  for (const [name, sentence] of now) told.set(name, sentence);
  say(byId("told"), words.slice(0, 3).join(". ") + (words.length > 3 ? `. And ${words.length - 3} more.` : ""));
}

function tokenForm() {
  const input = el("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-describedby": "token-why" });
  const form = el("form", { class: "token" },
    el("h1", {}, "A token is needed"),
    el("p", { id: "token-why", role: "alert" }, link.why),
    el("label", { for: "token" }, "Token"), input, el("button", { type: "submit" }, "Show"),
    el("p", { class: "quiet" }, "It is what stands in the daemon's http.token_file. This tab keeps it until it is closed."));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const token = input.value.trim();
    // What cannot be sent in a header is no token.
    if (/^[\x21-\x7e]+$/.test(token)) link.present(token);
    else say(form.querySelector("#token-why"), "A token has no spaces and no letters beyond ASCII.");
  });
  queueMicrotask(() => input.focus());
  return form;
}

function theme(next) {
  const own = next ?? (THEMES.includes(localStorage.getItem(THEME)) ? localStorage.getItem(THEME) : "system");
  localStorage.setItem(THEME, own);
  mark(document.documentElement, "data-theme", own === "system" ? null : own);
  say(byId("theme"), `Theme: ${own}`);
  return own;
}

function nextTheme() {
  theme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
}

function key(event) {
  const typing = event.target.matches("input:not([type=radio]), textarea, select");
  if (event.key === "Escape" && typing) return event.target.blur();
  if (typing || event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  const place = Number(event.key) - 1;
  const does = {
    "/": () => view.filter?.focus(),
    "?": () => byId("help").showModal(),
    t: nextTheme,
    u: () => { location.hash = "#/"; },
  }[event.key] ?? (VIEWS[place] ? () => { location.hash = VIEWS[place][2]; } : null);
  if (!does) return;
  event.preventDefault();
  does();
}

for (const [name, title, address] of VIEWS) {
  const badge = name === "alarms" ? el("span", { class: "badge" }) : null;
  byId("views").append(el("li", {}, el("a", { href: address, "data-view": name }, title, badge)));
}
byId("theme").addEventListener("click", nextTheme);
byId("keys").addEventListener("click", () => byId("help").showModal());
byId("help-close").addEventListener("click", () => byId("help").close());
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
addEventListener("hashchange", openView);
addEventListener("keydown", key);
link.taken = (frame) => {
  world.take(frame);
  drawSoon();
};
link.changed = () => (link.state === "token" ? show() : drawSoon());
theme();
openView();
link.open();
