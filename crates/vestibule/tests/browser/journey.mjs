// A visitor waits before the shop of the demo, and an operator lets them in: both in Chromium, with and without scripts.
//
// Arguments: the shop, the admin listener, its token, a link to sign in by, and a folder for pictures or nothing.

import assert from "node:assert/strict";
import { PHONE, becomes, complaints, foreign, heading, operator, start, told } from "./common.mjs";

const [shop, admin, token, link, pictures] = process.argv.slice(2);
const { browser, somebody, inspected } = await start([new URL(shop).origin, admin], pictures);
const ask = operator(admin, token);
const set = (state) => ask("/rooms/sale/state", "POST", { state });
const move = (by) => ask("/rooms/sale/move", "POST", { by });

async function wait() {
  await move(-60);
  const page = await somebody();
  await page.goto(`${shop}?article=7`);
  assert.equal(await heading(page), "You are in line");
  const place = await told(page, "place");
  await inspected(page, "waiting-desktop");

  // A reload and another tab are the same place, and what is ahead becomes less without a reload.
  await page.reload();
  assert.equal(await told(page, "place"), place);
  const tab = await page.browserContext().newPage();
  await tab.goto(shop);
  assert.equal(await told(tab, "place"), place);
  await tab.close();
  await page.evaluate(() => { window.isTheSame = true; });
  await page.waitForFunction((was) => document.querySelector('[data-v="ahead"]').textContent !== was, {}, await told(page, "ahead"));
  assert.ok(await page.evaluate(() => window.isTheSame));
  assert.match(await page.title(), /^\(\d+\) You are in line – Umbrella sale$/);
  // How long it takes is told once something is known, and then in words.
  await page.waitForFunction(() => /minute|hour/.test(document.querySelector('[data-v="wait"]').textContent));
  assert.equal(await told(page, "likely"), "for four out of five people");
  await page.click('[data-v="sound"]');
  assert.ok(await page.$eval('[data-v="sound"]', (box) => box.checked));
  return { page, place };
}

async function languages({ page, place }) {
  assert.ok((await page.$$("footer li a")).length >= 12);
  await page.click("footer summary");
  await inspected(page, "languages-desktop");
  await Promise.all([page.waitForNavigation(), page.click('footer a[hreflang="de"]')]);
  assert.equal(await heading(page), "Sie sind in der Warteschlange");
  assert.equal(page.url(), `${shop}?article=7`);
  assert.equal(await told(page, "place"), place);
  for (const [language, scheme] of [["ar", "light"], ["he", "dark"], ["ja", "dark"]]) {
    const other = await somebody({ ...PHONE, language, scheme });
    await other.goto(shop);
    assert.equal(await other.$eval("html", (html) => `${html.lang} ${html.dir}`), `${language} ${language === "ja" ? "ltr" : "rtl"}`);
    await inspected(other, `waiting-phone-${language}`);
    await other.browserContext().close();
  }
}

async function stands({ page }) {
  const still = 'a[href*="vestibule-room=still"]';
  await Promise.all([page.waitForNavigation(), page.click(still)]);
  assert.equal(await page.$eval('[data-v="alerts"]', (at) => at.hidden), true);
  await inspected(page, "still-desktop");
  await Promise.all([page.waitForNavigation(), page.click('a[href*="vestibule-room=live"]')]);
  assert.ok(await page.$(still));
}

async function states({ page }) {
  for (const [state, says] of [
    ["paused", "The line is paused"],
    ["pre-queue", "You are here before it opens"],
    ["idle", "It has not opened yet"],
    ["closed", "It is closed"],
  ]) {
    await set(state);
    if (state === "paused") await becomes(page, "Die Warteschlange steht still");
    const other = await somebody(PHONE);
    await other.goto(shop);
    assert.equal(await heading(other), says);
    await inspected(other, `${state}-phone`);
    await other.browserContext().close();
    if (state === "paused") {
      await set("open");
      await becomes(page, "Sie sind in der Warteschlange");
    }
  }
  // Only then has the page seen what there was to see, and loads itself no more.
  await becomes(page, "Es ist geschlossen");
  await set("open");
  await becomes(page, "Sie sind in der Warteschlange");
}

async function enters({ page, place: mine }) {
  const [plain, scripted] = [await somebody({ ...PHONE, scripts: false }), await somebody()];
  await scripted.goto(shop);
  await plain.goto(shop);
  const [place, ahead] = [await told(plain, "place"), await told(plain, "ahead")];
  assert.ok(Number(place) > 0 && Number(ahead) > 0);
  if (pictures) await plain.screenshot({ path: `${pictures}/without-scripts-phone.png`, fullPage: true });
  await page.reload();
  // It enters by itself after a moment, which is too short to look at it.
  await page.evaluate(() => {
    const { setTimeout } = window;
    window.setTimeout = (what, after) => (after === 1500 ? 0 : setTimeout(what, after));
  });
  await move(400);
  await becomes(page, "Sie sind an der Reihe");
  await inspected(page, "turn-desktop");
  await Promise.all([page.waitForNavigation(), page.click('[data-v="enter"] a')]);
  assert.equal(await heading(page), "Welcome to the umbrella sale");
  await becomes(scripted, "Welcome to the umbrella sale");
  await becomes(plain, "Welcome to the umbrella sale");
  await inspected(page, "shop-desktop");
  await Promise.all([page.waitForNavigation(), page.click("main li button")]);
  assert.equal(await heading(page), "Thank you: the umbrella is yours");
  await inspected(page, "bought-desktop");
  const { items } = await ask("/rooms/sale/visits?state=completed&limit=100");
  assert.ok(items.some(({ position }) => position === Number(mine)), "who has bought something is done");
}

async function operates() {
  const page = await somebody();
  await page.goto(admin + link);
  await page.waitForSelector("#desk:not([hidden])");
  await page.waitForSelector("#plot svg");
  assert.equal(new URL(page.url()).hash, "", "the link is not kept in the history");
  await inspected(page, "console-desktop");
  const counted = async (name) => Number((await page.$eval(`#is-${name}`, (at) => at.textContent)).replaceAll(",", ""));
  const before = await counted("serving_counter");
  // More than usual has to be meant.
  await page.$eval("#by", (input) => { input.value = "5000"; });
  await page.click('#move button[value="1"]');
  assert.match(await page.$eval("#affected", (at) => at.textContent), /more than came in/);
  await inspected(page, "many-desktop");
  await page.click("#sure-yes");
  await page.waitForFunction((least) => Number(document.querySelector("#is-serving_counter").textContent.replaceAll(",", "")) >= least, {}, before + 5000);
  await page.waitForFunction(() => document.querySelector("#events").textContent.includes("moved the serving number"));
  await page.select("#inlet", "periodic");
  assert.equal(await page.$eval("#inlet-every", (input) => input.value), "3", "it begins with what is");
  await page.$eval("#inlet-by", (input) => { input.value = "7"; });
  await page.$eval("#inlet-every", (input) => { input.value = "60"; });
  await page.click("#set-inlet button");
  await page.waitForFunction(() => document.querySelector("#settings").textContent.includes("7 every 1 min"));
  const outcome = await page.$eval("#sim-line", (input) => {
    input.value = "600";
    input.dispatchEvent(new Event("input", { bubbles: true }));
    return document.querySelector("#outcome").textContent;
  });
  assert.match(outcome, /The line is empty after/);

  // To pause and to open is a button each.
  await page.click("#pause");
  await page.waitForFunction(() => document.querySelector("#state").textContent === "paused");
  await page.click("#open");
  await page.waitForFunction(() => document.querySelector("#state").textContent === "open");

  // A reset needs the name of the room, and can be undone.
  const given = await counted("queue_counter");
  // The list above it may just become longer by what was done a moment ago.
  await page.$eval("#seldom summary", (summary) => summary.click());
  await page.waitForSelector("#reset", { visible: true });
  await page.$eval("#reset", (reset) => reset.click());
  assert.ok(await page.$eval("#sure-yes", (button) => button.disabled));
  await page.type("#confirm", "sale");
  await inspected(page, "reset-desktop");
  await page.click("#sure-yes");
  await page.waitForFunction((given) => Number(document.querySelector("#is-queue_counter").textContent.replaceAll(",", "")) < given, {}, given);
  await page.waitForSelector("#undoing:not([hidden])");
  await inspected(page, "undo-desktop");
  await page.click("#undo");
  await page.waitForFunction((given) => Number(document.querySelector("#is-queue_counter").textContent.replaceAll(",", "")) >= given, {}, given);
  await page.setViewport(PHONE);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await inspected(page, "console-phone-dark");
  await page.click("#sign-out");
  await page.waitForSelector("#entry:not([hidden])");
  await page.reload();
  await page.waitForSelector("#entry:not([hidden])");
  await inspected(page, "entry-phone-dark");
  await page.goto(`${admin}${link}`);
  await page.reload();
  await page.waitForFunction(() => document.querySelector("#refused").textContent.includes("used"));
  return page;
}

async function audits(page) {
  const { secret } = await ask("/tokens", "POST", { name: "looker", role: "auditor" });
  await page.type("#token", secret);
  await page.click("#sign-in button");
  await page.waitForSelector("#desk:not([hidden])");
  assert.equal(await page.$eval("#name", (at) => at.textContent), "looker (auditor)");
  assert.ok((await page.$$eval(".changes", (all) => all.map((section) => section.hidden))).every(Boolean));
  const refused = await page.evaluate(async () => {
    const headers = { "x-vestibule-console": "1" };
    return (await fetch("/console/api/rooms/sale/reset", { method: "POST", headers })).status;
  });
  assert.equal(refused, 403, "the role holds, whatever the page shows");
}

try {
  const waits = await wait();
  await languages(waits);
  await stands(waits);
  await states(waits);
  await enters(waits);
  await audits(await operates());
  assert.deepEqual([foreign, complaints], [[], []]);
} finally {
  await browser.close();
}
