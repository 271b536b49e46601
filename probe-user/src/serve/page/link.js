// The way to the daemon: one stream of what changes, taken up again for as long as it takes, and questions beside it.
//
// A token is kept for this tab alone (sessionStorage): cookies are sent to every port of a host, and a URL is written into
// histories and logs. EventSource sends no headers, so the stream is read by fetch.

const TOKEN = "procprobe.token";
const AGAIN_FIRST = 500;
const AGAIN_MOST = 15000;
// The daemon sends something every second.
const SILENT_AFTER = 8000;

function tokenKept() {
  return sessionStorage.getItem(TOKEN);
}

function headersOf() {
  const token = tokenKept();
  return token ? { Authorization: `Bearer ${token}` } : {};
}

// What a refusal says of itself.
async function wordsOf(answer) {
  const text = (await answer.text()).slice(0, 500);
  try {
    return plain(JSON.parse(text).error ?? text);
  } catch {
    return plain(text.trim());
  }
}

async function ask(path) {
  const answer = await fetch(path, { headers: headersOf(), cache: "no-store" });
  if (answer.status === 401) link.wantsToken(true);
  if (!answer.ok) throw Object.assign(new Error(await wordsOf(answer)), { status: answer.status });
  return answer;
}

const link = {
  state: "connecting", // live, lost, trouble, token
  why: "",
  since: Date.now(),
  group: null,
  heard: 0,
  tries: 0,
  reader: null,
  timer: 0,
  taken: () => {},
  changed: () => {},

  become(state, why = "") {
    if (state !== this.state) this.since = Date.now();
    this.state = state;
    this.why = why;
    this.changed();
  },

  // Looks at another group, or at none.
  look(group) {
    if (group === this.group) return;
    this.group = group;
    if (this.state !== "token") this.open();
  },

  wantsToken(refused) {
    this.stop();
    sessionStorage.removeItem(TOKEN);
    this.become("token", refused && this.presented ? "The daemon does not accept this token." : "");
    this.presented = false;
  },

  present(token) {
    sessionStorage.setItem(TOKEN, token);
    this.presented = true;
    this.become("connecting");
    this.open();
  },

  stop() {
    clearTimeout(this.timer);
    this.reader?.abort();
    this.reader = null;
  },

  again(why) {
    this.stop();
    if (this.state !== "lost") this.become("lost", why);
    else {
      this.why = why;
      this.changed();
    }
    const wait = Math.min(AGAIN_MOST, AGAIN_FIRST * 2 ** this.tries) * (0.75 + Math.random() / 2);
    this.tries += 1;
    this.timer = setTimeout(() => this.open(), wait);
  },

  async open() {
    this.stop();
    const own = new AbortController();
    this.reader = own;
    const path = this.group === null ? "/v1/live" : `/v1/live?group=${encodeURIComponent(this.group)}`;
    try {
      this.watch(own);
      const answer = await fetch(path, { headers: headersOf(), cache: "no-store", signal: own.signal });
      if (answer.status === 401) return this.wantsToken(true);
      if (!answer.ok) throw new Error(await wordsOf(answer));
      await this.read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), own);
      throw new Error("the daemon has ended the stream");
    } catch (error) {
      // Who was told to stop has a successor.
      if (this.reader === own) this.again(error instanceof TypeError ? "nobody answers" : plain(error.message));
    }
  },

  // A connection that says nothing is none.
  watch(own) {
    this.heard = Date.now();
    const look = () => {
      if (this.reader !== own) return;
      if (Date.now() - this.heard > SILENT_AFTER) return this.again("nothing comes any more");
      setTimeout(look, 1000);
    };
    setTimeout(look, 1000);
  },

  async read(stream, own) {
    let rest = "";
    while (this.reader === own) {
      const { value, done } = await stream.read();
      if (done) return;
      this.heard = Date.now();
      const pieces = (rest + value).split("\n\n");
      rest = pieces.pop();
      for (const piece of pieces) this.take(piece);
    }
  },

  take(piece) {
    const field = (name) => piece.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? "";
    const data = JSON.parse(field("data"));
    this.tries = 0;
    if (field("event") === "trouble") return this.become("trouble", plain(data.why));
    if (this.state !== "live") this.become("live");
    this.taken(data);
  },
};

// A tab that is looked at again, or a network that is back, does not wait for the next try.
function tryNow() {
  if (link.state !== "lost" || document.hidden) return;
  link.tries = 0;
  link.open();
}
document.addEventListener("visibilitychange", tryNow);
addEventListener("online", tryNow);
