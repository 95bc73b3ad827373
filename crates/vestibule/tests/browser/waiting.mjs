// The waiting page where there is no stream, where nobody looks at it, and where people see it otherwise than most.
//
// Arguments: the gateway, the admin listener, its token, and a folder for pictures or nothing.

import assert from "node:assert/strict";
import { NARROW, PHONE, becomes, complaints, eventually, foreign, heading, operator, start, told } from "./common.mjs";

const [gateway, admin, token, pictures] = process.argv.slice(2);
const { browser, somebody, inspected, pictured } = await start([gateway], pictures);
const ask = operator(admin, token);
const join = (room) => fetch(`${gateway}/of-${room}/assign_queue_num`, { method: "POST", body: `{"event_id":"${room}"}`, headers: { "content-type": "application/json" } });
const isOffline = (page) => page.$eval('[data-v="offline"]', (at) => !at.hidden);

/** A page whose clock stands, in which nothing is left to chance, and whose questions this test answers. */
async function withoutStream(path) {
  const page = await somebody();
  await page.evaluateOnNewDocument(() => {
    window.waits = [];
    const { setTimeout } = window;
    const noted = (does, after) => window.waits.push({ does, after });
    window.setTimeout = noted;
    /** Has the clock go while something else is looked at. */
    window.goes = (is) => { window.setTimeout = is ? setTimeout : noted; };
    window.clearTimeout = (id) => { if (window.waits[id - 1]) window.waits[id - 1].does = null; };
    window.pass = () => {
      const wait = window.waits.findLast(({ does }) => does);
      const { does } = wait;
      wait.does = null;
      does();
    };
    Math.random = () => 0.5;
    const { now } = Date;
    window.later = 0;
    Date.now = () => now() + window.later;
  });
  await page.setRequestInterception(true);
  const asked = { count: 0, answer: null };
  page.on("request", (request) => {
    if (request.url().includes("vestibule-room=watch")) return request.respond({ status: 503 });
    if (!request.url().includes("vestibule-room=place") || !asked.answer) return request.continue();
    asked.count += 1;
    return asked.answer === "away" ? request.abort() : request.respond(asked.answer);
  });
  await page.goto(gateway + path);
  /** After how many milliseconds it asks again. */
  const next = () => page.evaluate(() => window.waits.findLast(({ does }) => does)?.after);
  /** Has that time pass, and waits until the next question is set. */
  const passes = async () => {
    const before = await page.evaluate(() => window.waits.length);
    await page.evaluate(() => window.pass());
    await page.waitForFunction((before) => window.waits.length > before, {}, before);
    return next();
  };
  const says = (is, headers = {}) => {
    asked.answer = { status: 200, contentType: "application/json", headers, body: JSON.stringify(is) };
  };
  return { page, asked, next, passes, says };
}

async function polls() {
  const { page, asked, next, passes, says } = await withoutStream("/plain");
  const { pause, position } = await page.$eval("#v-room", (at) => JSON.parse(at.textContent));
  const is = { situation: "waiting", position, opens: null, serving: 0, wait: null, pause: 9 };
  const jittered = (seconds) => Math.round(seconds * (1000 + 500 / 3));
  const rounded = async (of) => Math.round(await of);
  assert.equal(await rounded(next()), jittered(pause), "as the page was told, and not all at once");

  says(is);
  assert.equal(await rounded(passes()), jittered(9), "as the gateway says now");
  assert.equal(asked.count, 1);
  // Somebody who does not answer is asked less and less, and as late as they say.
  asked.answer = "away";
  for (const times of [1, 2, 4, 8]) assert.equal(await rounded(passes()), jittered(pause * times), "it is away");
  assert.ok(await isOffline(page));
  await page.evaluate(() => window.goes(true));
  await inspected(page, "offline-desktop");
  await page.evaluate(() => window.goes(false));
  asked.answer = { status: 503, headers: { "retry-after": "77" }, body: "" };
  assert.equal(await rounded(passes()), jittered(77));
  asked.answer = { status: 429, headers: { "retry-after": "99999" }, body: "" };
  assert.equal(await rounded(passes()), jittered(600), "but not for ever");
  says(is);
  assert.equal(await rounded(passes()), jittered(9));
  assert.ok(!(await isOffline(page)));

  // Nobody is asked for a page that nobody sees, unless it is to tell its visitor.
  const hide = (is) => page.evaluate((is) => {
    window.later += 60000;
    Object.defineProperty(document, "hidden", { value: is, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, is);
  const before = asked.count;
  await hide(true);
  await page.evaluate(() => window.pass());
  assert.deepEqual([asked.count, await next()], [before, undefined]);
  await hide(false);
  await eventually("it asks at once when somebody looks again", () => asked.count === before + 1);
  await eventually("and goes on", async () => (await rounded(next())) === jittered(9));
  await page.click('[data-v="sound"]');
  await hide(true);
  await passes();
  assert.equal(asked.count, before + 2);
  await hide(false);
  // Where who is absent is passed over, a page goes on to give signs.
  const missed = await withoutStream("/missed");
  assert.equal(await rounded(missed.next()), jittered(2), "half of the time after which somebody is absent");
  await missed.page.evaluate(() => Object.defineProperty(document, "hidden", { value: true }));
  await missed.passes();
  await missed.page.browserContext().close();
  return { page, passes, says, is };
}

/** How long it takes, in words; and it does not jump about. */
async function expects({ page, passes, says, is }) {
  const wait = async (bounds, after) => {
    await page.evaluate((after) => { window.later += after; }, after);
    says({ ...is, wait: bounds });
    await passes();
    return told(page, "wait");
  };
  // The same cases as the gateway's own words are tested with.
  for (const [bounds, words] of [
    [[0, 60], "less than a minute"],
    [[0, 61], "up to 2 minutes"],
    [[60, 61], "between 1 and 2 minutes"],
    [[610, 830], "between 10 and 14 minutes"],
    [[1200, 1200], "between 19 and 20 minutes"],
    [[1199, 1201], "between 19 and 25 minutes"],
    [[1499, 3601], "between 20 and 70 minutes"],
    [[100, 10800], "between 1 and 180 minutes"],
    [[7300, 10801], "between 2 and 4 hours"],
    [[7199, 86400], "between 1 and 24 hours"],
    [[0, 86401], "not known yet"],
    [[3600000, 7200000], "more than 1,000 h"],
    [null, "not known yet"],
  ]) assert.equal(await wait(bounds, 30000), words);
  assert.equal(await told(page, "likely"), "");
  assert.equal(await wait([610, 830], 30000), "between 10 and 14 minutes");
  assert.equal(await told(page, "likely"), "for four out of five people");
  assert.equal(await wait([590, 850], 1000), "between 10 and 14 minutes", "what changes a little is not told at once");
  assert.equal(await wait([590, 850], 20000), "between 9 and 15 minutes");
  assert.equal(await wait([1200, 1500], 1000), "between 20 and 25 minutes", "what changes much is");
  await page.browserContext().close();
}

/** With the stream nothing has to be asked for, and how long it takes comes by it. */
async function hears() {
  await Promise.all(Array.from({ length: 300 }, () => join("moving")));
  const page = await somebody();
  let asked = 0;
  page.on("request", (request) => { asked += request.url().includes("vestibule-room=place") ? 1 : 0; });
  await page.goto(`${gateway}/moving`);
  const { pause } = await page.$eval("#v-room", (at) => JSON.parse(at.textContent));
  assert.ok(pause >= 6, "who is far behind need not ask as often");
  await page.waitForFunction(() => /minute/.test(document.querySelector('[data-v="wait"]').textContent));
  await inspected(page, "moving-desktop");
  assert.ok(asked <= 2, `it has asked ${asked} times`);
}

/** With lanes a number may be higher than how many came. A page that has one hears of a reset nevertheless, and says of no turn. */
async function lanes() {
  await Promise.all(Array.from({ length: 20 }, () => join("laned")));
  const page = await somebody();
  await page.goto(`${gateway}/laned`);
  assert.ok(Number(await told(page, "place")) > 21);
  await page.evaluate(() => new MutationObserver(() => { sessionStorage.said += `${document.querySelector("h1").textContent}; `; }).observe(document.querySelector("h1"), { childList: true, subtree: true, characterData: true }));
  await ask("/rooms/laned/reset", "POST");
  await eventually("it has the first place", async () => (await told(page, "place").catch(() => "")) === "1");
  assert.equal(await page.evaluate(() => sessionStorage.said), undefined);
  await page.browserContext().close();
}

/** Whoever wishes to be told is, in the tab's name, by a sound and by a notice. */
async function tells() {
  const page = await somebody();
  await page.goto(`${gateway}/plain`);
  await page.click('[data-v="notify"]');
  await page.waitForSelector('[data-v="denied"]:not([hidden])');
  assert.equal(await page.$eval('[data-v="notify"]', (box) => box.checked), false);
  await inspected(page, "denied-desktop");
  await page.browserContext().overridePermissions(gateway, ["notifications"]);
  await page.evaluateOnNewDocument(() => {
    window.told = [];
    const { Notification, setTimeout } = window;
    window.Notification = class extends Notification { constructor(...what) { super(...what); window.told.push(what[0]); } };
    const { start } = OscillatorNode.prototype;
    OscillatorNode.prototype.start = function (...when) { window.told.push("tone"); return start.apply(this, when); };
    // It enters after a moment, which is too short to look at it.
    window.setTimeout = (does, after) => (after === 1500 ? 0 : setTimeout(does, after));
  });
  await page.reload();
  for (const name of ["sound", "notify"]) {
    await page.click(`[data-v="${name}"]`);
    await page.waitForFunction((name) => document.querySelector(`[data-v="${name}"]`).checked, {}, name);
  }
  // The room is paused and opens again: its page is another one, and what was wished holds.
  for (const state of ["paused", "open"]) {
    await ask("/rooms/plain/state", "POST", { state });
    await becomes(page, state === "open" ? "You are in line" : "The line is paused");
  }
  await page.waitForFunction(() => ["sound", "notify"].every((name) => document.querySelector(`[data-v="${name}"]`).checked));
  await ask("/rooms/plain/move", "POST", { by: 1000 });
  await becomes(page, "It is your turn");
  assert.equal(await page.title(), "✓ It is your turn");
  assert.deepEqual(await page.evaluate(() => window.told), ["tone", "tone", "tone", "It is your turn"]);
  await inspected(page, "turn-desktop");
  await ask("/rooms/plain/move", "POST", { by: -1000 });
}

/** Where notifications are there, and no page may make one: the box is not, and who checked it before is taken in nevertheless. */
async function tellsNoMore() {
  for (const permission of ["default", "granted"]) {
    const page = await somebody();
    await page.evaluateOnNewDocument((permission) => {
      window.Notification = class { static permission = permission; static requestPermission = async () => permission; constructor() { throw new TypeError("Illegal constructor"); } };
    }, permission);
    await page.goto(`${gateway}/plain`);
    const box = '[data-v="notify"]';
    if (permission === "default") assert.equal(await page.$(box), null);
    else await page.click(box).then(() => page.waitForFunction((box) => document.querySelector(box).checked, {}, box));
    await page.evaluate(() => { window.isTheSame = true; });
    await ask("/rooms/plain/move", "POST", { by: 1000 });
    await becomes(page, "It is your turn");
    await eventually("the page is loaded again", () => page.evaluate(() => !window.isTheSame).catch(() => false));
    await ask("/rooms/plain/move", "POST", { by: -1000 });
    await page.browserContext().close();
  }
}

/** By the keyboard: everything in its order, and one sees where one is. */
async function keyboard() {
  const page = await somebody();
  await page.goto(`${gateway}/plain`);
  const order = [];
  for (let step = 0; step < 5; step += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const at = document.activeElement;
      return { name: at.dataset.v ?? at.textContent.trim(), outline: getComputedStyle(at).outlineStyle };
    });
    assert.notEqual(at.outline, "none", at.name);
    order.push(at.name);
  }
  assert.deepEqual(order, ["sound", "notify", "Look again", "Stop updating by itself", "Language: English"]);
  await page.keyboard.press("Enter");
  assert.ok(await page.$eval("footer details", (at) => at.open));
}

async function looks() {
  for (const [name, how] of [
    ["plain-narrow", { ...NARROW }],
    ["plain-narrow-rtl-dark", { ...NARROW, language: "ar", scheme: "dark" }],
    ["plain-narrow-uk", { ...NARROW, language: "uk" }],
    // 1280 by 900 at 200 %.
    ["plain-zoomed", { width: 640, height: 450 }],
    ["plain-still", { ...PHONE, features: [{ name: "prefers-reduced-motion", value: "reduce" }] }],
    ["moving-phone-he", { ...PHONE, language: "he" }],
    ["moving-narrow-de", { ...NARROW, language: "de" }],
    ["moving-narrow-ja-dark", { ...NARROW, language: "ja", scheme: "dark" }],
    ["early-narrow", { ...NARROW, language: "fr" }],
    ["own-desktop", {}],
    ["own-narrow-rtl", { ...NARROW, language: "he" }],
  ]) {
    const page = await somebody(how);
    await page.goto(`${gateway}/${name.split("-")[0]}`);
    await page.click("footer summary");
    await inspected(page, name);
    const isMoving = await page.evaluate(() => document.getAnimations().length > 0);
    assert.ok(!isMoving, name);
    // Letters twice as large, and nothing else.
    await page.evaluate(() => { document.documentElement.style.fontSize = "200%"; });
    const { scrolls, sees } = await page.evaluate(() => ({ scrolls: document.documentElement.scrollWidth, sees: window.innerWidth }));
    assert.ok(scrolls <= sees, `${name} with large letters is wider than the screen: ${scrolls} of ${sees}`);
    await pictured(page, `${name}-large`);
    await page.browserContext().close();
  }
  const own = await somebody();
  await own.goto(`${gateway}/own`);
  assert.equal(await heading(own), "Nearly there");
  assert.equal(await own.$eval("main", (at) => getComputedStyle(at).borderTopColor), "rgb(122, 31, 92)");
  assert.ok(await own.$eval("header img", (image) => image.complete && image.naturalWidth > 0));
  assert.match(await own.$eval("header", (at) => at.textContent), /Tickets for the summer festival/);
}

/** The time until it opens is counted, and then the page looks by itself. */
async function opens() {
  const page = await somebody();
  await page.evaluateOnNewDocument(() => {
    const { now } = Date;
    // It opens in a day; here it is a moment before that.
    const opens = (told) => JSON.parse(told.textContent).opens * 1000;
    let ahead;
    Date.now = () => {
      const told = document.getElementById("v-room");
      ahead ??= told && !sessionStorage.been ? opens(told) - now() - 6000 : undefined;
      return now() + (ahead ?? 0);
    };
    window.addEventListener("pagehide", () => { sessionStorage.been = true; });
  });
  await page.goto(`${gateway}/early`);
  assert.equal(await heading(page), "You are here before it opens");
  const loaded = page.waitForNavigation();
  assert.match(await told(page, "countdown"), /^00:00:0[0-6]$/);
  await loaded;
  assert.equal(await heading(page), "You are here before it opens", "it has looked again, and it is too early yet");
  assert.match(await told(page, "countdown"), /^(1 \+ 00:00:00|23:5\d:\d\d)$/);
}

try {
  await expects(await polls());
  await hears();
  await lanes();
  await keyboard();
  await looks();
  await opens();
  await tells();
  await tellsNoMore();
  // The answers that this test gave for the gateway are no complaints.
  assert.deepEqual([foreign, complaints], [[], []]);
} finally {
  await browser.close();
}
