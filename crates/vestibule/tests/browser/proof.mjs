// Rooms that want a proof of work, as people with all kinds of browsers come into them.
//
// Arguments: the gateway, the admin listener, its token, and a folder for pictures or nothing.

import assert from "node:assert/strict";
import { NARROW, becomes, complaints, eventually, foreign, heading, start, told } from "./common.mjs";

const [gateway, , , pictures] = process.argv.slice(2);
const { browser, somebody, inspected, pictured } = await start([gateway], pictures);
const JOINING = "You are about to join the line";
const WAITING = "You are in line";
const progress = (page) => page.$eval("#proof", (bar) => bar.value);
const shown = (page, selector) => page.$eval(selector, (at) => at.checkVisibility());

async function computes() {
  const page = await somebody();
  await page.goto(`${gateway}/worked?article=7`);
  await becomes(page, WAITING);
  assert.equal(await told(page, "place"), "1");
  assert.equal(page.url(), `${gateway}/worked?article=7`);
  await page.reload();
  assert.equal(await told(page, "place"), "1", "who has a place need not work again");
}

/** While a browser computes what takes hours, its page goes on to answer. */
async function answers() {
  const page = await somebody({ ...NARROW });
  await page.goto(`${gateway}/hard?article=7`);
  assert.equal(await heading(page), JOINING);
  for (let more = 0; more < 3; more += 1) {
    const before = await progress(page);
    await eventually("it is told how far it is", async () => (await progress(page)) > before);
    await page.click("footer summary");
    assert.equal(await page.$eval("footer details", (at) => at.open), more % 2 === 0, "the page answers meanwhile");
  }
  assert.ok(page.workers().length === 1, "it is a worker that computes");
  await inspected(page, "joining-narrow");
  return page;
}

/** By the keyboard alone, as somebody with a screen reader. */
async function goesWithout(page) {
  const link = 'main a[href*="room-join"]';
  await eventually("the link has the focus", async () => {
    await page.keyboard.press("Tab");
    return page.$eval(link, (at) => at === document.activeElement);
  });
  assert.notEqual(await page.$eval(link, (at) => getComputedStyle(at).outlineStyle), "none");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  await becomes(page, WAITING);
  assert.equal(page.url(), `${gateway}/hard?article=7`, "the way in is not what is asked for");
}

async function withoutScripts() {
  const page = await somebody({ scripts: false });
  await page.goto(`${gateway}/hard`);
  assert.equal(await heading(page), JOINING);
  assert.equal(await shown(page, "#proof"), false, "nothing is promised that does not happen");
  // Without scripts there is no axe either; but the page is the same.
  await pictured(page, "joining-without-scripts");
  await Promise.all([page.waitForNavigation(), page.click('main a[href*="room-join"]')]);
  assert.equal(await heading(page), WAITING);
  await page.goto(`${gateway}/strict`);
  assert.match(await page.$eval("main", (at) => at.innerText), /This page needs JavaScript/);
}

/** A browser that has no workers, or keeps no cookies, is told so, and how to go on. */
async function withoutWorkers() {
  for (const takeAway of [
    () => { delete window.Worker; },
    () => { window.Worker = class { postMessage() { setTimeout(() => this.onerror(new ErrorEvent("error", { message: "no" }))); } terminate() {} }; },
    () => { Object.defineProperty(document, "cookie", { get: () => "", set: () => {} }); },
  ]) {
    const page = await somebody();
    await page.evaluateOnNewDocument(takeAway);
    await page.goto(`${gateway}/worked`);
    await page.waitForSelector("#proof-failed:not([hidden])");
    await inspected(page, "joining-failed");
    await Promise.all([page.waitForNavigation(), page.click('main a[href*="room-join"]')]);
    assert.equal(await heading(page), WAITING);
  }
}

try {
  await computes();
  await goesWithout(await answers());
  await withoutScripts();
  await withoutWorkers();
  assert.deepEqual([foreign, complaints], [[], []]);
} finally {
  await browser.close();
}
