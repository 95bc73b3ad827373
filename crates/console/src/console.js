import { draw } from "./plot.js";

const at = (id) => document.getElementById(id);
const text = (id, value) => { if (at(id).textContent !== value) at(id).textContent = value; };
const number = (value) => Number(value).toLocaleString("en");
const moment = (seconds) => new Date(seconds * 1000).toLocaleString([], { dateStyle: "short", timeStyle: "medium" });
const make = (name, content, attributes = {}) => {
  const element = document.createElement(name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...[content].flat());
  return element;
};

let chosen = decodeURIComponent(location.hash.startsWith("#room=") ? location.hash.slice(6) : "");
let rooms = [], mayChange = false, isIn = false, samples = [];

/** Asks the gateway; what it refuses is an error with its own words. */
async function ask(path, method = "GET", body) {
  const headers = { "x-vestibule-console": "1", accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(`/console/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
  const told = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  if (answer.status === 401 && isIn) show(null);
  throw new Error(told.detail || told.title || `The gateway answered with ${answer.status}.`);
}

const of = (what = "") => `api/rooms/${encodeURIComponent(chosen)}${what}`;

/** Does something, and says what became of it. */
async function attempt(doing, said) {
  try {
    await doing();
    text("trouble", "");
    if (said) text("said", said);
  } catch (error) {
    text("trouble", error instanceof TypeError ? "The gateway cannot be reached. This page tries again." : error.message);
  }
}

/** Shows the desk to who is signed in, and the entry to others. */
function show(who) {
  isIn = Boolean(who);
  [["entry", !who], ["desk", who], ["who", who]].forEach(([id, is]) => { at(id).hidden = !is; });
  if (!who) return;
  mayChange = ["owner", "operator"].includes(who.role);
  text("name", `${who.name} (${who.role})`);
  document.querySelectorAll(".changes").forEach((section) => { section.hidden = !mayChange; });
  look(true);
}

async function signIn(entry) {
  try {
    show(await ask("session", "POST", entry));
    text("refused", "");
  } catch (error) {
    show(null);
    text("refused", error.message);
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
  at("counters").append(make("div", [make("dt", title), make("dd", "0", { id: `is-${name}` })], index ? {} : { class: "first" })));

function list() {
  const known = [...at("rooms").querySelectorAll("button")].map((button) => button.value).join();
  if (known !== rooms.map((room) => room.name).join()) {
    at("rooms").replaceChildren(...rooms.map((room) => make("li", make("button", room.name, { type: "button", value: room.name }))));
  }
  for (const button of at("rooms").querySelectorAll("button")) {
    if (button.value === chosen) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
  at("rooms").parentElement.hidden = rooms.length < 2;
  at("none").hidden = rooms.length > 0;
  at("room").hidden = rooms.length === 0;
}

at("rooms").addEventListener("click", ({ target }) => {
  if (!target.value) return;
  chosen = target.value;
  history.replaceState(null, "", `#room=${encodeURIComponent(chosen)}`);
  samples = [];
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

function settings(room) {
  const facts = [
    ["Lets in", inletOf(room)],
    ["Set by", room.is_tuned ? "an operator, until somebody sets it again" : "the document"],
    ["Turns can be taken for", room.position_expiry ? every(room.position_expiry) : "ever"],
    ["Turns nobody takes", room.position_expiry ? (room.passes_on ? "go to the next in line" : "are lost") : "stay"],
    ["Tokens hold for", every(room.validity)],
  ];
  at("settings").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}

/** Asks how everything stands; with what changes seldom, if that is wanted. */
let turns = 0;
async function look(everything) {
  if (!isIn) return;
  await attempt(async () => {
    rooms = (await ask("api/rooms?limit=1000")).items;
    if (!rooms.some((room) => room.name === chosen)) chosen = rooms[0]?.name ?? "";
    list();
    if (!chosen) return;
    const room = rooms.find((known) => known.name === chosen);
    text("title", room.name);
    text("event", room.event === room.name ? "" : `Event ${room.event}`);
    text("state", room.state ?? "open");
    at("state").dataset.state = room.state ?? "open";
    COUNTERS.forEach(([name]) => text(`is-${name}`, number(room[name])));
    const free = room.serving_counter - room.queue_counter;
    text("next-in", free > 0 ? `The next ${number(free)} who join are let in at once.` : "");
    document.title = `(${number(room.waiting)}) ${room.name} - Vestibule`;
    if (everything || turns++ % 5 === 0) await lookCloser(room, everything);
  });
}

async function lookCloser(room, isNew) {
  samples = (await ask(of("/history"))).samples;
  const points = draw(at("plot"), samples);
  table(points);
  settings(await ask(of()));
  await visits();
  await events();
  if (isNew) {
    at("sim-line").value = Math.max(0, room.waiting);
    const pace = points.length ? points.slice(-24).reduce((sum, point) => sum + point.admitted, 0) / Math.min(24, points.length) : 0;
    if (pace >= 0.1) at("sim-rate").value = pace.toFixed(1);
    simulate();
  }
}

function table(points) {
  const row = (cells, name) => make("tr", cells.map((cell, index) => make(name, cell, name === "th" ? { scope: "col" } : {})));
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
at("which").addEventListener("change", () => attempt(() => visits()));
at("which").addEventListener("submit", (event) => event.preventDefault());
at("more").addEventListener("click", () => attempt(() => visits(true)));
at("visits").addEventListener("click", ({ target }) => {
  const { visit } = target.dataset;
  if (!visit) return;
  target.blur();
  attempt(() => ask(of(`/visits/${visit}/end`), "POST", { how: target.value }), `The visit is ${target.value}.`).then(() => look(true));
});

const DONE = { moved: "moved the serving number", reset: "reset the room", restored: "undid a reset", set: "set the state", ended: "ended a visit", imported: "had another key sign", tuned: "changed the inlet" };

async function events() {
  const { items } = await ask(of("/events?limit=20"));
  const entries = items.map((entry) => {
    const is = entry.shows ?? {};
    const now = is.serving_counter === undefined ? "" : `; it was ${is.state ?? "open"}, serving number ${number(is.serving_counter)}, ${number(is.waiting)} waiting then`;
    return make("li", [make("time", entry.at ? moment(Date.parse(entry.at) / 1000) : "", { datetime: entry.at ?? "" }), make("span", `${entry.actor} ${DONE[entry.change] ?? entry.change}${now}`)]);
  });
  at("events").replaceChildren(...(entries.length ? entries : [make("li", "Nobody has done anything yet.", { class: "none" })]));
}

at("move").addEventListener("submit", (event) => {
  event.preventDefault();
  const by = at("by").valueAsNumber * Number(event.submitter?.value ?? 1);
  attempt(() => ask(of("/move"), "POST", { by }), `The serving number moved by ${number(by)}.`).then(() => look(true));
});
at("set-state").addEventListener("submit", (event) => {
  event.preventDefault();
  const state = at("wanted").value;
  attempt(() => ask(of("/state"), "POST", { state }), `The state is set: ${state}.`).then(() => look(true));
});

const isInlet = () => document.querySelectorAll("#set-inlet [data-of]").forEach((part) => {
  part.hidden = part.dataset.of !== at("inlet").value;
  part.querySelectorAll("input").forEach((input) => { input.disabled = part.hidden; });
});
at("inlet").addEventListener("change", isInlet);
isInlet();
at("set-inlet").addEventListener("submit", (event) => {
  event.preventDefault();
  const inlet = {
    document: undefined,
    manual: "manual",
    periodic: { periodic: { by: at("inlet-by").valueAsNumber, every: at("inlet-every").valueAsNumber } },
    "max-size": { "max-size": { size: at("inlet-size").valueAsNumber } },
  }[at("inlet").value];
  attempt(() => ask(of("/inlet"), "POST", { inlet }), "The inlet is set.").then(() => look(true));
});

at("reset").addEventListener("click", () => {
  const room = rooms.find((known) => known.name === chosen);
  document.querySelectorAll(".of-room").forEach((element) => { element.textContent = chosen; });
  text("affected", `${number(room.waiting)} visitors wait, and ${number(room.active)} are in.`);
  at("confirm").value = "";
  at("sure-reset").disabled = true;
  at("sure").returnValue = "";
  at("sure").showModal();
});
at("confirm").addEventListener("input", () => { at("sure-reset").disabled = at("confirm").value !== chosen; });
at("sure").addEventListener("close", () => {
  if (at("sure").returnValue !== "reset" || at("confirm").value !== chosen) return;
  attempt(() => ask(of("/reset"), "POST"), "The room begins anew. For an hour that can be undone.").then(() => look(true));
});
at("undo").addEventListener("click", () => attempt(() => ask(of("/undo-reset"), "POST"), "The reset is undone.").then(() => look(true)));

/** How a line goes, a second at a time: who is let in, who does not show up, and when their turns are given again. */
export function outcome({ line, rate, join, absent, expiry }) {
  const [longest, again] = [48 * 3600, []];
  let [waiting, came, credit, given, seconds] = [line, line, 0, 0, 0];
  let first = null;
  while (seconds < longest) {
    seconds += 1;
    const joined = join / 60;
    waiting += joined;
    came += joined;
    const passed = expiry ? (again[seconds] ?? 0) : 0;
    credit += rate / 60 + passed;
    const turns = Math.min(waiting, credit);
    waiting -= turns;
    given += turns;
    // Turns that nobody waits for stay, and are not saved up beyond a second.
    credit = Math.min(credit - turns, rate / 60);
    if (expiry) again[seconds + Math.round(expiry * 60)] = turns * (absent / 100);
    if (first === null && given >= line - 0.5) first = seconds;
    if (waiting < 0.5 && first !== null) break;
  }
  return { seconds: waiting < 0.5 ? seconds : null, first, waiting: Math.round(waiting), visitors: Math.round(given * (1 - absent / 100)) };
}

const lasts = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`);

function simulate() {
  if (!at("simulate").checkValidity()) return text("outcome", "Fill in all numbers.");
  const value = (id) => at(id).valueAsNumber;
  const found = outcome({ line: value("sim-line"), rate: value("sim-rate"), join: value("sim-join"), absent: value("sim-absent"), expiry: value("sim-expiry") });
  const all = found.seconds === null ? `After two days ${number(found.waiting)} still wait: more join than are let in.` : `The line is empty after ${lasts(found.seconds)}.`;
  const last = found.first === null ? "" : ` Whoever is last now has their turn after ${lasts(found.first)}.`;
  text("outcome", `${all}${last} ${number(found.visitors)} visitors come in.`);
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
