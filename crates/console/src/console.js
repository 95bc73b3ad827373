import { draw } from "./plot.js";
import { lasts, told } from "./simulate.js";
import { cameIn, did, lacks, lowerable, lowering, nextOf, number, raising } from "./words.js";

const at = (id) => document.getElementById(id);
const text = (id, value) => { if (at(id).textContent !== value) at(id).textContent = value; };
const moment = (seconds) => new Date(seconds * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "medium" });
const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString([], { timeStyle: "medium" });
const make = (name, content, attributes = {}) => {
  const element = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...[content].flat());
  return element;
};

/** The room that the address names; none, if what is there is no text. */
function named() {
  try {
    return decodeURIComponent(location.hash.startsWith("#room=") ? location.hash.slice(6) : "");
  } catch {
    return "";
  }
}

let chosen = named();
let rooms = [], room = null, me = null, mayChange = false, samples = [], points = [];
/** What is known of the gateway: by how much its clock is ahead of this one, and when it answered last. */
const gateway = { ahead: 0, answered: Date.now() };

/** Asks the gateway; what it refuses is an error with its own words. */
async function ask(path, method = "GET", body, others = {}) {
  const headers = { "x-vestibule-console": "1", accept: "application/json", ...others };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(`/console/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
  gateway.answered = Date.now();
  const date = Date.parse(answer.headers.get("date") ?? "");
  // It is told to the second, so less than that is no difference.
  if (date) gateway.ahead = Math.abs(date - Date.now()) > 1500 ? date - Date.now() : 0;
  const said = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  if (answer.status === 401 && me) {
    show(null);
    text("refused", "You are signed out: the gateway was started anew, your token ended, or half an hour went by. The rooms go on meanwhile. Sign in again, and you are where you were.");
  }
  const may = answer.status === 403 ? " Your token's role does not allow it: an operator's or owner's does." : "";
  throw Object.assign(new Error((said.detail || said.title || `The gateway answered with ${answer.status}.`) + may), { type: said.type });
}

const now = () => Date.now() + gateway.ahead;
const of = (what = "") => `api/rooms/${encodeURIComponent(chosen)}${what}`;

/** Shows the desk to who is signed in, and the entry to others. */
function show(who) {
  me = who;
  [["entry", !who], ["desk", who], ["who", who]].forEach(([id, is]) => { at(id).hidden = !is; });
  if (!who) return at("sure").close();
  mayChange = ["owner", "operator"].includes(who.role);
  text("name", `${who.name} (${who.role})`);
  document.querySelectorAll(".changes").forEach((section) => { section.hidden = !mayChange; });
  gateway.answered = Date.now();
  look(true);
}

async function signIn(entry) {
  try {
    show(await ask("session", "POST", entry));
    text("refused", "");
  } catch (error) {
    show(null);
    text("refused", error instanceof TypeError ? "The gateway cannot be reached. Try again in a moment." : error.message);
  }
}

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn({ token: at("token").value });
  at("token").value = "";
});
at("sign-out").addEventListener("click", () => ask("session", "DELETE").finally(() => { show(null); at("token").focus(); }));

const COUNTERS = [
  ["waiting", "Waiting"], ["serving_counter", "Serving number"], ["queue_counter", "Places given"], ["token_counter", "Took their turn"],
  ["expired_queue_counter", "Turns passed on"], ["active", "Visits that go on"], ["completed", "Completed"], ["abandoned", "Abandoned"],
];
COUNTERS.forEach(([name, title], index) =>
  at("counters").append(make("div", [make("dt", title, { id: `of-${name}` }), make("dd", "0", { id: `is-${name}` })], index ? {} : { class: "first" })));

function list() {
  const shown = rooms.filter(({ name }) => name === chosen || name.toLowerCase().includes(at("filter").value.trim().toLowerCase()));
  const known = [...at("rooms").querySelectorAll("button")].map((button) => button.value).join();
  if (known !== shown.map(({ name }) => name).join()) {
    at("rooms").replaceChildren(...shown.map(({ name }) => make("li", make("button", [make("span", name), " ", make("small", "")], { type: "button", value: name }))));
  }
  shown.forEach(({ name, state, waiting }, index) => {
    const button = at("rooms").children[index].firstChild;
    const is = `${state}, ${number(waiting)}`;
    if (button.lastChild.textContent !== is) button.lastChild.textContent = is;
    button.lastChild.dataset.state = state;
    if (name === chosen) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
  at("rooms").parentElement.hidden = rooms.length < 2;
  at("find").hidden = rooms.length < 10;
  at("none").hidden = rooms.length > 0;
}

at("filter").addEventListener("input", list);
at("rooms").addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (!button) return;
  chosen = button.value;
  history.replaceState(null, "", `#room=${encodeURIComponent(chosen)}`);
  ["trouble", "said"].forEach((id) => text(id, ""));
  latest = undefined;
  look(true);
});

const every = (seconds) => (seconds % 3600 === 0 ? `${seconds / 3600} h` : seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`);

function inletOf({ inlet }) {
  if (typeof inlet === "string") return inlet === "manual" ? "by hand: nobody is let in unless you raise the serving number" : inlet;
  if (inlet.periodic) {
    const { by, every: each, from, until } = inlet.periodic;
    return `${number(by)} every ${every(each)}${from ? `, from ${moment(from)}` : ""}${until ? `, until ${moment(until)}` : ""}`;
  }
  if (inlet["max-size"]) return `at most ${number(inlet["max-size"].size)} are in at a time`;
  const { least, most } = inlet.adaptive;
  return `as many as what is behind the room bears, ${number(least)} to ${number(most)} per minute`;
}

const MEANS = {
  idle: "Nobody can join yet.",
  "pre-queue": "Visitors gather. Nobody is let in yet.",
  open: "Visitors join, and are let in.",
  paused: "Nobody is let in for the moment. Visitors keep their places, and others join.",
  closed: "Nobody can join, and nobody is let in any more. Who is in stays in.",
  "passing-everybody": "Nobody waits: whoever comes is let through.",
};

/** The state, what it means, and what comes next: each second, since it may be close. */
function status() {
  if (!room) return;
  const { state, state_by: by, state_since: since, schedule } = room;
  text("state", state);
  at("status").dataset.state = state;
  const lets = state !== "open" ? "" : room.inlet === "manual" ? " Nobody by itself: raise the serving number." : ` The inlet: ${inletOf(room)}.`;
  text("means", `${MEANS[state] ?? ""}${lets}`);
  const isByHand = by === "operator", isScheduled = Object.keys(schedule).length > 0;
  text("by-whom", `${isByHand ? "Set by an operator" : isScheduled ? "By its schedule" : "It has no schedule"}${since ? `, since ${moment(since)}` : ""}.`);
  const { what, when, isMissed } = nextOf(room, now()) ?? {};
  const left = when ? Math.ceil(when - now() / 1000) : 0;
  const two = (value) => String(value).padStart(2, "0");
  const countdown = left > 86400 ? `in ${lasts(left)}` : `in ${two(Math.floor(left / 3600))}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`;
  const next = !when ? "" : isMissed ? `Its schedule says that ${what} at ${moment(when)}, ${countdown}. That will NOT happen by itself: an operator set the state. Open it yourself then, or have it follow the schedule.` : `${what[0].toUpperCase()}${what.slice(1)} by itself at ${moment(when)}, ${countdown}.`;
  text("next", next);
  at("next").classList.toggle("warns", Boolean(isMissed));
  at("pause").hidden = !["open", "passing-everybody"].includes(state);
  at("open").hidden = state === "open";
  at("follow").hidden = !(isByHand && isScheduled);
  const undoable = room.undoable_until && room.undoable_until * 1000 > now();
  at("undoing").hidden = !(undoable && mayChange);
  if (undoable) text("undoable", `This room was reset at ${moment(room.undoable_until - 3600)}. Until ${moment(room.undoable_until)} that can be undone.`);
}

function facts() {
  const rows = [
    ["Lets in", inletOf(room)],
    ["Set by", room.is_tuned ? "an operator, until somebody sets it again" : "the document"],
    ["Turns can be taken for", room.position_expiry ? every(room.position_expiry) : "ever"],
    ["Turns nobody takes", room.position_expiry ? (room.passes_on ? "go to the next in line" : "are lost") : "stay"],
    ["Tokens hold for", every(room.validity)],
  ];
  at("settings").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}

/** How long whoever joins now will wait, and how good such forecasts were. */
function outlook({ wait }) {
  const { at_least: least, at_most: most, judged, held } = wait;
  // Who waits for a draw is in no line yet.
  const late = room.registered ? 0 : room.waiting;
  const nobody = late > 0 ? `none: all turns have come, ${number(late)} of them not taken yet` : "none: nobody is in line";
  const is = inLine() <= 0 ? nobody : most === undefined ? "not known yet: too few turns have come" : `${lasts(least)} to ${lasts(most)}`;
  text("expected", is);
  text("accuracy", judged < 20 ? "For whoever joins now. Four of five such forecasts are to hold; too few have come true or failed to say." : `For whoever joins now. Four of five such forecasts are to hold: of the last ${number(judged)} it was ${Math.round((held / judged) * 100)} %.`);
}

/** Asks how the room stands; with what changes seldom, if that is wanted. */
let turns = 0, looks = false, isAsked = false;
async function look(everything) {
  if (!me) return;
  isAsked ||= looks && everything;
  if (looks) return;
  looks = true;
  try {
    isAsked = false;
    if (everything || turns % 5 === 0) {
      rooms = (await ask("api/rooms?limit=1000")).items;
      if (!rooms.some(({ name }) => name === chosen)) chosen = rooms[0]?.name ?? "";
    }
    at("room").hidden = !chosen;
    const isNew = room?.name !== chosen;
    room = chosen ? await ask(of()) : null;
    rooms = rooms.map((known) => (known.name === chosen ? room : known));
    list();
    if (!room) return;
    text("title", room.name);
    text("event", room.event === room.name ? "" : `Event ${room.event}`);
    text("of-waiting", room.registered ? "Waiting for the draw" : "Waiting");
    COUNTERS.forEach(([name]) => text(`is-${name}`, number(room[name])));
    const { free_turns: free } = room;
    text("next-in", free > 0 && room.state === "open" ? `The next ${number(free)} who join are let in at once.` : "");
    document.title = `(${number(room.waiting)}) ${room.name}, ${room.state} - Vestibule`;
    status();
    outlook(room);
    effect();
    if (everything || turns++ % 5 === 0) await lookCloser(isNew);
    if (at("trouble").dataset.of === "looking") trouble("");
  } catch (error) {
    if (!(error instanceof TypeError) && me) trouble(error.message, "looking");
  } finally {
    looks = false;
    pulse();
  }
  if (isAsked) look(true);
}

const trouble = (message, of = "") => { text("trouble", message); at("trouble").dataset.of = of; };

/** What has to be known whatever happens: that this is old, and that one will be signed out. */
function pulse() {
  const old = Math.round((Date.now() - gateway.answered) / 1000);
  const isStale = Boolean(me) && old >= 6;
  at("stale").hidden = !isStale;
  document.body.classList.toggle("old", isStale);
  if (isStale) text("stale", `Not up to date: the gateway has not answered since ${clock(gateway.answered)}. What is shown is from then; this page goes on trying. Visitors keep their places.`);
  const left = me?.ends ? me.ends - now() / 1000 : Infinity;
  at("leaving").hidden = !(me && left < 1800);
  if (left < 1800) text("leaving", `You will be signed out at ${moment(me.ends)}. Sign out and in again before you need your hands free.`);
}

async function lookCloser(isNew) {
  ({ samples } = await ask(of("/history")));
  points = draw(at("plot"), samples);
  table(points);
  facts();
  await visits();
  await events();
  if (!isNew) return;
  at("sim-line").value = inLine();
  if (pace() >= 0.1) at("sim-rate").value = pace().toFixed(1);
  const passesOn = room.passes_on && room.position_expiry;
  at("sim-expiry").value = passesOn ? Math.min(1440, Number((room.position_expiry / 60).toFixed(2))) : 0;
  simulate();
  const { periodic, "max-size": size } = room.inlet;
  at("inlet").value = room.is_tuned ? (periodic ? "periodic" : size ? "max-size" : "manual") : "document";
  if (periodic) [at("inlet-by").value, at("inlet-every").value] = [periodic.by, periodic.every];
  if (size) at("inlet-size").value = size.size;
  isInlet();
}

addEventListener("resize", () => { if (room && !at("room").hidden) draw(at("plot"), samples); });

/** How many were let in per minute lately. */
const pace = () => (points.length ? points.slice(-24).reduce((sum, point) => sum + point.admitted, 0) / Math.min(24, points.length) : 0);

function table(points) {
  const row = (cells, name) => make("tr", cells.map((cell) => make(name, cell, name === "th" ? { scope: "col" } : {})));
  const head = make("thead", row(["Time", "Waiting", "Serving number", "Joined per minute", "Let in per minute"], "th"));
  const each = Math.max(1, Math.floor(points.length / 60));
  const shown = points.filter((_, index) => index % each === 0).reverse();
  const body = shown.map((point) => row([moment(point.at), number(point.waiting), number(point.serving), number(point.joined.toFixed(1)), number(point.admitted.toFixed(1))], "td"));
  at("table").replaceChildren(head, make("tbody", body));
}

let after = null;
async function visits(more = false) {
  const which = at("visits-are").value;
  const page = await ask(of(`/visits?state=${which}&limit=20${more && after ? `&after=${after}` : ""}`));
  const rows = page.items.map((visit) => {
    const ends = ["completed", "abandoned"].map((how) => make("button", how, { type: "button", class: "second", value: how, "data-visit": visit.request_id, "aria-label": `Place ${visit.position} ${how}` }));
    const ending = visit.state === "active" ? (mayChange ? ends : "") : visit.state;
    return make("tr", [make("td", number(visit.position)), make("td", make("code", visit.request_id)), make("td", moment(visit.issued)), make("td", moment(visit.expires)), make("td", ending)]);
  });
  // What somebody is about to press stays where it is.
  if (!more && at("visits").contains(document.activeElement)) return;
  if (more) at("visits").append(...rows);
  else at("visits").replaceChildren(...rows);
  after = page.next ?? null;
  at("more").hidden = !after;
  text("no-visits", at("visits").children.length ? "" : "There are none.");
}
const attempt = (doing) => doing().catch((error) => trouble(error instanceof TypeError ? "The gateway cannot be reached. Try again in a moment." : error.message));
at("which").addEventListener("change", () => attempt(visits));
at("which").addEventListener("submit", (event) => event.preventDefault());
at("more").addEventListener("click", () => attempt(() => visits(true)));
at("visits").addEventListener("click", ({ target }) => {
  const { visit } = target.dataset;
  if (!visit) return;
  target.blur();
  act(`/visits/${visit}/end`, { how: target.value }, `The visit is ${target.value}.`);
});

/** The number of the last thing that somebody did, as far as it was shown here. */
let latest;
async function events() {
  const { items } = await ask(of("/events?limit=20"));
  const entries = items.map((entry) => {
    const is = entry.shows ?? {};
    const then = is.serving_counter === undefined ? "" : `. After that: ${is.state ?? "open"}, serving number ${number(is.serving_counter)}, ${number(is.waiting)} waiting`;
    return make("li", [make("time", entry.at ? moment(Date.parse(entry.at) / 1000) : "", { datetime: entry.at ?? "" }), make("span", `${did(entry)}${then}`)]);
  });
  at("events").replaceChildren(...(entries.length ? entries : [make("li", "Nobody has done anything yet.", { class: "none" })]));
  const newest = items[0]?.number ?? 0;
  if (latest !== undefined && newest > latest && items[0].actor !== me.name) text("said", `${did(items[0])} at ${clock(Date.parse(items[0].at))}.`);
  latest = newest;
}

/** Has the gateway do something once, even if its answer is lost, and says what became of it. */
let acts = false;
async function act(what, body, said) {
  if (acts) return;
  acts = true;
  trouble("");
  text("said", "One moment ...");
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    // What somebody else did a moment ago may make this wrong.
    const [last] = (await ask(of("/events?limit=1"))).items;
    if (last && latest !== undefined && last.number > latest && last.actor !== me.name) {
      latest = last.number;
      throw new Error(`Nothing was done: ${did(last)} at ${clock(Date.parse(last.at))}, before you pressed. Look at what is shown now, and press again if you still want it.`);
    }
    for (let tries = 1; ; tries += 1) {
      try {
        await ask(of(what), "POST", body, { "idempotency-key": key });
        break;
      } catch (error) {
        if (!(error instanceof TypeError) && !/not-answered-yet$/.test(error.type)) throw error;
        if (tries === 4) throw new Error("The gateway did not answer, so it is not known whether that was done. Look at what is shown once it answers again, before you do it once more.");
        await new Promise((resolve) => setTimeout(resolve, tries * 1000));
      }
    }
    text("said", `${said} (${clock(Date.now())})`);
  } catch (error) {
    text("said", "");
    trouble(error instanceof TypeError ? "Nothing was done: the gateway cannot be reached. Try again in a moment." : error.message);
  } finally {
    acts = false;
    look(true);
  }
}

/** Asks whether somebody is sure. With a name to write for what is grave. */
function sure({ title, affected, does, isNamed }) {
  text("sure-title", title);
  text("affected", affected);
  text("sure-yes", does);
  at("named").hidden = !isNamed;
  document.querySelectorAll(".of-room").forEach((element) => { element.textContent = chosen; });
  at("confirm").value = "";
  at("sure-yes").disabled = Boolean(isNamed);
  at("sure").returnValue = "";
  at("sure").showModal();
  // Who presses a key once more has not said yes by that.
  if (isNamed) at("confirm").focus();
  const asked = chosen;
  return new Promise((resolve) => {
    at("sure").addEventListener("close", () => resolve(at("sure").returnValue === "yes" && chosen === asked), { once: true });
  });
}
at("confirm").addEventListener("input", () => { at("sure-yes").disabled = at("confirm").value !== chosen; });

/** Those whose turn has not come. Others who wait have not taken theirs yet. */
const inLine = () => room.in_line;

/** Says what raising and lowering would do, before they do it. */
function effect() {
  const by = at("by").valueAsNumber;
  const is = !room ? "" : lacks(at("by"));
  text("effect", !room || is ? is : raising(room, by));
  text("lowers", !room || is ? "" : lowering(room, by));
}
at("by").addEventListener("input", effect);
at("move").addEventListener("submit", async (event) => {
  event.preventDefault();
  effect();
  const by = at("by").valueAsNumber;
  if (event.submitter?.value === "-1") {
    const less = lowerable(room, by);
    if (!less) return text("said", "Nothing was done: the serving number cannot be lower than it is.");
    const [title, affected] = [`Lower the serving number by ${number(less)}?`, at("lowers").textContent];
    if (await sure({ title, affected, does: `Lower by ${number(less)}` })) act("/move", { by: -less }, `The serving number is lowered by ${number(less)}.`);
    return;
  }
  const lately = cameIn(samples, 600);
  if (by > Math.max(100, lately)) {
    const affected = `That is more than came in during the last ten minutes (${number(lately)}). ${at("effect").textContent} What is behind the room gets them at once.`;
    if (!(await sure({ title: `Let in ${number(by)} at once?`, affected, does: `Raise by ${number(by)}` }))) return;
  }
  act("/move", { by }, `The serving number is raised by ${number(by)}.`);
});

const GRAVE = {
  closed: "Nobody can join or is let in any more, and those who wait are told that it is over. Their places are kept: open it again, and they wait where they were.",
  idle: "Nobody can join, and nobody is let in. Those who wait keep their places.",
  "passing-everybody": "Everybody who waits, and whoever comes, is let through at once.",
};
async function setState(state) {
  const grave = GRAVE[state];
  if (grave && !(await sure({ title: `Set ${chosen} to ${state}?`, affected: `${number(room.waiting)} visitors wait. ${grave}`, does: `Set to ${state}` }))) return;
  act("/state", { state }, state === "scheduled" ? "The room follows its schedule." : `The room is ${state}.`);
}
document.querySelectorAll(".daily button").forEach((button) => button.addEventListener("click", () => setState(button.dataset.state)));
at("set-state").addEventListener("submit", (event) => {
  event.preventDefault();
  setState(at("wanted").value);
});

const isInlet = () => document.querySelectorAll("#set-inlet [data-of]").forEach((part) => {
  part.hidden = part.dataset.of !== at("inlet").value;
  part.querySelectorAll("input").forEach((input) => { input.disabled = part.hidden; });
});
at("inlet").addEventListener("change", isInlet);
isInlet();
// What was said of the last one is not about the next one.
at("set-inlet").addEventListener("input", () => text("said", ""));
at("set-inlet").addEventListener("submit", (event) => {
  event.preventDefault();
  const inlet = {
    document: undefined,
    manual: "manual",
    periodic: { periodic: { by: at("inlet-by").valueAsNumber, every: at("inlet-every").valueAsNumber } },
    "max-size": { "max-size": { size: at("inlet-size").valueAsNumber } },
  }[at("inlet").value];
  act("/inlet", { inlet }, "The inlet is set.");
});

at("reset").addEventListener("click", async () => {
  const affected = `${number(room.waiting)} visitors wait and lose their places, and the visits of ${number(room.active)} end.`;
  if (await sure({ title: `Reset ${chosen}?`, affected, does: "Reset", isNamed: true })) act("/reset", undefined, "The room begins anew. For an hour that can be undone, above.");
});
at("undo").addEventListener("click", () => act("/undo-reset", undefined, "The reset is undone."));

function simulate() {
  const [wrong] = [...at("simulate").querySelectorAll("input")].map(lacks).filter(Boolean);
  if (wrong) return text("outcome", wrong);
  const value = (id) => at(id).valueAsNumber;
  text("outcome", told({ line: value("sim-line"), rate: value("sim-rate"), join: value("sim-join"), absent: value("sim-absent"), expiry: value("sim-expiry") }, number));
}
at("simulate").addEventListener("input", simulate);
at("simulate").addEventListener("submit", (event) => event.preventDefault());

const link = location.hash.startsWith("#link=") ? location.hash.slice(6) : "";
if (link) {
  history.replaceState(null, "", location.pathname);
  signIn({ link });
} else {
  ask("session").then(show, () => show(null));
}
setInterval(() => { if (!document.hidden) look(false); }, 2000);
setInterval(() => { status(); pulse(); }, 1000);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  // It was not asked meanwhile.
  gateway.answered = Date.now();
  look(true);
});
