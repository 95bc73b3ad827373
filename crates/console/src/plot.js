// How a room went, drawn: who waits as an area, and below it how many joined and were let in per minute.

const NS = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [260, 48, 48, 12, 26];

/** What happened between each two samples, per minute. */
export function rates(samples) {
  return samples.slice(1).map((now, index) => {
    const before = samples[index];
    const minutes = Math.max(1, now.at - before.at) / 60;
    return {
      at: now.at,
      waiting: now.waiting,
      serving: now.serving,
      joined: Math.max(0, now.queue - before.queue) / minutes,
      admitted: Math.max(0, now.tokens - before.tokens) / minutes,
    };
  });
}

/** Fewer points, each for several. */
export function thinned(points, most) {
  const each = Math.ceil(points.length / most);
  if (each <= 1) return points;
  const thin = [];
  for (let at = 0; at < points.length; at += each) {
    const group = points.slice(at, at + each);
    const mean = (name) => group.reduce((sum, point) => sum + point[name], 0) / group.length;
    thin.push({ ...group.at(-1), joined: mean("joined"), admitted: mean("admitted") });
  }
  return thin;
}

function part(name, attributes, text) {
  const element = document.createElementNS(NS, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  if (text !== undefined) element.textContent = text;
  return element;
}

/** A number at or above one that is good to read: 1, 2 or 5 and zeros. */
function round(value) {
  const base = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 5, 10].map((step) => step * base).find((step) => step >= value);
}

const short = (value) => (value >= 1e6 ? `${value / 1e6}M` : value >= 1e4 ? `${value / 1e3}k` : String(value));

/** Draws samples into an element. */
export function draw(into, samples) {
  const points = thinned(rates(samples), 240);
  if (points.length < 2) {
    into.textContent = "Nothing has happened yet.";
    return points;
  }
  // As wide as it is shown, so that its letters are as large as others.
  const WIDTH = Math.max(280, into.clientWidth || 900);
  const [from, until] = [points[0].at, points.at(-1).at];
  const most = round(Math.max(1, ...points.map((point) => point.waiting)));
  const fastest = round(Math.max(1, ...points.map((point) => Math.max(point.joined, point.admitted))));
  const x = (at) => LEFT + ((at - from) / Math.max(1, until - from)) * (WIDTH - LEFT - RIGHT);
  const y = (value, top) => HEIGHT - BOTTOM - (Math.max(0, value) / top) * (HEIGHT - TOP - BOTTOM);
  const line = (name, top) => points.map((point) => `${x(point.at).toFixed(1)},${y(point[name], top).toFixed(1)}`).join(" L");
  const svg = part("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" });
  const last = points.at(-1);
  svg.append(part("title", {}, `Up to ${Math.max(...points.map((point) => point.waiting))} waited; ${last.waiting} wait now.`));
  for (const share of [0, 0.5, 1]) {
    const at = y(share, 1);
    svg.append(part("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at }));
    svg.append(part("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end" }, short(share * most)));
    svg.append(part("text", { x: WIDTH - RIGHT + 8, y: at + 4 }, short(share * fastest)));
  }
  const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: until - from < 600 ? "2-digit" : undefined });
  [[from, "start"], [(from + until) / 2, "middle"], [until, "end"]].forEach(([at, anchor]) =>
    svg.append(part("text", { x: x(at), y: HEIGHT - 6, "text-anchor": anchor }, clock(at))));
  const ground = y(0, 1);
  svg.append(part("path", { class: "waiting", d: `M${x(from)},${ground} L${line("waiting", most)} L${x(until)},${ground} Z` }));
  svg.append(part("path", { class: "joined", d: `M${line("joined", fastest)}` }));
  svg.append(part("path", { class: "admitted", d: `M${line("admitted", fastest)}` }));
  const legend = document.createElement("ul");
  legend.className = "legend";
  for (const [name, text] of [["waiting", "waiting (left)"], ["joined", "joined per minute (right)"], ["admitted", "let in per minute (right)"]]) {
    const item = document.createElement("li");
    const sign = part("svg", { width: 28, height: 12, "aria-hidden": "true" });
    sign.append(part("path", { class: name, d: "M1,6 L27,6" }));
    item.append(sign, text);
    legend.append(item);
  }
  into.replaceChildren(svg, legend);
  return points;
}
