// A visitor waits before the shop of the demo, and an operator lets them in: both in Chromium, with and without scripts.
//
// Arguments: the shop, the admin listener, its token, a link to sign in by, and a folder for pictures or nothing.

import assert from "node:assert/strict";
import axe from "axe-core";
import puppeteer from "puppeteer-core";

const [shop, admin, token, link, pictures] = process.argv.slice(2);
const [foreign, complaints] = [[], []];
const browser = await puppeteer.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--mute-audio"],
});

/** Asks the Admin API. */
async function ask(path, method = "GET", body) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(admin + path, { method, headers, body: body && JSON.stringify(body) });
  const told = await answer.json();
  assert.ok(answer.ok, `${path}: ${JSON.stringify(told)}`);
  return told;
}
const set = (state) => ask("/rooms/sale/state", "POST", { state });
const move = (by) => ask("/rooms/sale/move", "POST", { by });

/** A page of somebody who was never here. */
async function somebody({ language = "en", width = 1280, height = 900, scheme = "light", scripts = true } = {}) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport({ width, height });
  await page.setExtraHTTPHeaders({ "accept-language": language });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setJavaScriptEnabled(scripts);
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(new URL(shop).origin) && !url.startsWith(admin) && !url.startsWith("data:")) foreign.push(url);
  });
  page.on("console", (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error}`));
  return page;
}
const PHONE = { width: 390, height: 844 };

const told = (page, name) => page.$eval(`[data-v="${name}"]`, (at) => at.textContent);
const heading = (page) => page.$eval("h1", (at) => at.textContent);

/** What axe finds, which is to be nothing; and a picture for people. */
async function inspected(page, name) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document);
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
  });
  assert.deepEqual(found, [], name);
  const { scrolls, sees } = await page.evaluate(() => ({ scrolls: document.documentElement.scrollWidth, sees: window.innerWidth }));
  assert.ok(scrolls <= sees, `${name} is wider than the screen: ${scrolls} of ${sees}`);
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true, captureBeyondViewport: false });
}

/** Waits until a page says something as its heading, by itself. */
async function becomes(page, text) {
  for (const end = Date.now() + 30000; ;) {
    // While a page is being loaded it says nothing.
    const says = await heading(page).catch(() => "");
    if (says === text) return;
    assert.ok(Date.now() < end, `it is not ${text}, but ${says}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

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
  assert.match(await page.title(), /^\(\d+\) You are in line$/);
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
  await set("open");
}

async function enters({ page }) {
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
  await page.$eval("#by", (input) => { input.value = "500"; });
  await page.click('#move button[value="1"]');
  await page.waitForFunction((least) => Number(document.querySelector("#is-serving_counter").textContent.replaceAll(",", "")) >= least, {}, before + 500);
  assert.match(await page.$eval("#events", (at) => at.textContent), /moved the serving number/);
  await page.select("#inlet", "periodic");
  await page.$eval("#inlet-by", (input) => { input.value = "7"; });
  await page.click("#set-inlet button");
  await page.waitForFunction(() => document.querySelector("#settings").textContent.includes("7 every 1 min"));
  assert.match(await page.$eval("#outcome", (at) => at.textContent), /The line is empty after/);

  // A reset needs the name of the room, and can be undone.
  const given = await counted("queue_counter");
  await page.click("#reset");
  assert.ok(await page.$eval("#sure-reset", (button) => button.disabled));
  await page.type("#confirm", "sale");
  await inspected(page, "reset-desktop");
  await page.click("#sure-reset");
  await page.waitForFunction((given) => Number(document.querySelector("#is-queue_counter").textContent.replaceAll(",", "")) < given, {}, given);
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
  assert.deepEqual(await page.$$eval(".changes", (all) => all.map((section) => section.hidden)), [true, true, true, true]);
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
