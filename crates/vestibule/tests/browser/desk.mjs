// The page of operators under stress: before a sale, with somebody else at it, with many rooms, and while the gateway changes.
//
// Arguments: the gateway, the admin listener, its token, and a folder for pictures or nothing. Says `upgrade` when the gateway
// is to be exchanged, and goes on when it hears of it.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { NARROW, PHONE, complaints, eventually, foreign, operator, start } from "./common.mjs";

const [gateway, admin, token, pictures] = process.argv.slice(2);
const { browser, somebody, inspected } = await start([gateway, admin], pictures);
const ask = operator(admin, token);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const text = (page, id) => page.$eval(`#${id}`, (at) => (at.checkVisibility() ? at.textContent : ""));
const says = (page, id, what) => eventually(`${id} says ${what}`, async () => what.test(await text(page, id)));

async function operates(name, { room = "", ...how } = {}) {
  const page = await somebody(how);
  const { secret } = await ask("/tokens", "POST", { name, role: "operator" });
  await page.goto(`${admin}/console/${room && `#room=${room}`}`);
  await signIn(page, secret);
  return { page, secret };
}

async function signIn(page, secret) {
  await page.waitForSelector("#entry:not([hidden])");
  await page.type("#token", secret);
  await page.click("#sign-in button");
  await page.waitForSelector("#desk:not([hidden])");
}

/** A minute before it opens: what is, what comes, and whether it comes by itself. */
async function beforeASale() {
  const { page } = await operates("ann", { room: "early" });
  await says(page, "state", /^pre-queue$/);
  await says(page, "means", /Nobody is let in yet/);
  await says(page, "next", /^It opens by itself at .*, in (23:5\d:\d\d|1 day|24 h 0 min)/);
  assert.match(await text(page, "by-whom"), /By its schedule/);
  await inspected(page, "desk-early");
  // Who sets the state by hand is told that the clock does not open it any more.
  await page.click("#seldom summary");
  await page.select("#wanted", "idle");
  await page.click("#set-state button");
  await page.waitForSelector("#sure[open]");
  await inspected(page, "desk-sure");
  await page.click("#sure-yes");
  await says(page, "next", /will NOT happen by itself/);
  await inspected(page, "desk-warned");
  await page.click("#follow");
  await says(page, "next", /^It opens by itself/);
  // Nor does it do less than the operator did already: nobody is warned.
  await page.click("#open");
  await says(page, "state", /^open$/);
  await says(page, "next", /^$/);
  await page.click("#follow");
  await says(page, "state", /^pre-queue$/);
}

/** Two at once: what the other one did is said, and nothing is done on top of it unseen. */
async function together() {
  const [{ page: ann }, { page: bob }] = [await operates("anna", { room: "plain" }), await operates("bob", { room: "plain" })];
  await Promise.all([ann, bob].map((page) => page.waitForFunction(() => document.querySelector("#events li"))));
  await ann.click('#move button[value="1"]');
  await says(ann, "said", /raised by 10/);
  const before = (await ask("/rooms/plain")).serving_counter;
  await bob.click('#move button[value="1"]');
  await eventually("bob is told, before or after he presses", async () => /anna moved the serving number/.test((await text(bob, "trouble")) + (await text(bob, "said"))));
  const isRefused = /Nothing was done/.test(await text(bob, "trouble"));
  if (isRefused) {
    assert.equal((await ask("/rooms/plain")).serving_counter, before);
    await inspected(bob, "desk-refused");
    await bob.click('#move button[value="1"]');
  }
  await says(bob, "said", /raised by 10/);
  assert.equal((await ask("/rooms/plain")).serving_counter, before + 10);
  await ann.browserContext().close();
  return bob;
}

/** What is done once is done once, though its answer is lost; and what cannot be done says what to do. */
async function loses(page) {
  const before = (await ask("/rooms/plain")).serving_counter;
  let lost = 0;
  await page.setRequestInterception(true);
  const lose = async (request) => {
    if (!request.url().endsWith("/move") || lost > 0) return request.continue();
    lost += 1;
    // It gets there, and its answer does not come back.
    const cookies = (await page.browserContext().cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
    await fetch(request.url(), { method: "POST", headers: { ...request.headers(), cookie: cookies }, body: request.postData() });
    return request.abort();
  };
  page.on("request", lose);
  await page.click('#move button[value="1"]');
  await says(page, "said", /raised by 10/);
  assert.equal(lost, 1);
  assert.equal((await ask("/rooms/plain")).serving_counter, before + 10, "it was asked for twice, and done once");
  page.off("request", lose);
  await page.setRequestInterception(false);
  await page.setOfflineMode(true);
  await page.click("#pause");
  await says(page, "trouble", /Nothing was done: the gateway cannot be reached/);
  await says(page, "stale", /Not up to date: .* since/);
  await inspected(page, "desk-stale");
  await page.setOfflineMode(false);
  await eventually("it is up to date again", async () => (await text(page, "stale")) === "");
}

/** The gateway is exchanged: who is signed in is told, and is where they were. */
async function exchanged(page, secret) {
  console.log("upgrade");
  assert.equal((await lines.next()).value, "upgraded");
  await says(page, "refused", /You are signed out: the gateway was started anew/);
  await inspected(page, "desk-signed-out");
  await signIn(page, secret);
  await says(page, "title", /^moving$/);
}

/** Fifty rooms and more: found by name, each with its state. */
async function many() {
  const { page, secret } = await operates("carol", { room: "moving" });
  await says(page, "title", /^moving$/);
  await eventually("all rooms are there", async () => (await page.$$("#rooms button")).length > 50);
  await inspected(page, "desk-many");
  await page.type("#filter", "stand-07");
  await eventually("others are not", async () => (await page.$$("#rooms button")).length === 2);
  await page.$$eval("#rooms button", (buttons) => buttons.find(({ value }) => value === "stand-07").click());
  await says(page, "title", /^stand-07$/);
  await ask("/rooms/stand-07/state", "POST", { state: "paused" });
  await eventually("its state is in the list", () => page.$eval('#rooms [aria-current] small', (at) => at.textContent.startsWith("paused")));
  await says(page, "by-whom", /Set by an operator, since/);
  await page.setViewport(NARROW);
  await inspected(page, "desk-many-narrow");
  await page.setViewport(PHONE);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await inspected(page, "desk-phone-dark");
  await page.evaluate(() => { location.hash = "#room=moving"; });
  await page.reload();
  await says(page, "title", /^moving$/);
  await page.setViewport({ width: 1280, height: 900 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
  // How long it takes is known once turns have come.
  await says(page, "expected", / to /);
  await says(page, "accuracy", /of the last \d+ it was \d+ %|too few/);
  await inspected(page, "desk-moving");
  return { page, secret };
}

/** With lanes the serving number is not how many were let in: what raising does, and who need not wait, is said of visitors. */
async function lanes() {
  await joins("laned", 20);
  await ask("/rooms/laned/move", "POST", { by: 15 });
  const { page } = await operates("dora", { room: "laned" });
  await says(page, "effect", /^Raise: 5 of 5 whose turn has not come may come in, and the next 5 who join need not wait/);
  assert.equal(await text(page, "next-in"), "");
  await inspected(page, "desk-lanes");
  // What lowering does is said before, and asked.
  const before = (await ask("/rooms/laned")).serving_counter;
  await page.$eval("#by", (by) => { by.value = "100000"; by.dispatchEvent(new Event("input")); });
  await says(page, "lowers", /^Lower: to 0\. Whoever has a place from 1 to /);
  await page.click('#move button[value="-1"]');
  await page.waitForSelector("#sure[open]");
  await inspected(page, "desk-lowers");
  assert.equal((await ask("/rooms/laned")).serving_counter, before, "nothing is done before the answer");
  await page.click("#sure-yes");
  await says(page, "said", new RegExp(`lowered by ${before}`));
  assert.equal((await ask("/rooms/laned")).serving_counter, 0);
  await eventually("what was done is told", () => page.$eval("#events li", (at) => /dora moved the serving number by -\d+ to 0\./.test(at.textContent)));
  await page.$eval("#by", (by) => { by.value = "1.5"; by.dispatchEvent(new Event("input")); });
  await says(page, "effect", /^By how many: fill in a whole number from 1 to 1,000,000\.$/);
  await page.browserContext().close();
}

/** An address that names no text names no room, and the page is there. */
async function misled() {
  const { page } = await operates("eve", { room: "%E0%A4%A" });
  await says(page, "title", /./);
  await page.browserContext().close();
}

/** A token that is deleted ends what its holder can do at once, and they are told. */
async function deleted(page, secret) {
  const name = "carol";
  await ask(`/tokens/${name}`, "DELETE").catch(() => {});
  await says(page, "refused", /You are signed out/);
  await page.type("#token", secret);
  await page.click("#sign-in button");
  await says(page, "refused", /no token of this gateway/);
}

const joins = (room, count) => Promise.all(Array.from({ length: count }, () =>
  fetch(`${gateway}/of-${room}/assign_queue_num`, { method: "POST", body: `{"event_id":"${room}"}`, headers: { "content-type": "application/json" } })));

try {
  await joins("moving", 400);
  await lanes();
  await misled();
  await beforeASale();
  await loses(await together());
  const { page, secret } = await many();
  await exchanged(page, secret);
  await deleted(page, secret);
  assert.deepEqual([foreign, complaints], [[], []]);
} finally {
  await browser.close();
  process.stdin.destroy();
}
