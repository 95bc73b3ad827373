// What tests in a browser begin with: Chromium, somebody in it, and what is looked at on each page.

import assert from "node:assert/strict";
import axe from "axe-core";
import puppeteer from "puppeteer-core";

/** What pages must not do: ask anybody else, and have errors. To be looked at in the end. */
export const [foreign, complaints] = [[], []];
export const PHONE = { width: 390, height: 844 };
/** The narrowest phone, and what a window of 1280 pixels is at 400 %. */
export const NARROW = { width: 320, height: 568 };

/** A browser, and what works in it. `own` are the addresses that pages may ask, `pictures` a folder or nothing. */
export async function start(own, pictures) {
  const browser = await puppeteer.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--mute-audio"],
    protocolTimeout: 60_000,
  });

  /** A page of somebody who was never here. */
  async function somebody({ language = "en", width = 1280, height = 900, scheme = "light", scripts = true, features = [] } = {}) {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.setViewport({ width, height });
    await page.setExtraHTTPHeaders({ "accept-language": language });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }, ...features]);
    await page.setJavaScriptEnabled(scripts);
    page.on("request", (request) => {
      const url = request.url();
      if (!own.some((origin) => url.startsWith(origin)) && !/^(data|blob):/.test(url)) foreign.push(url);
    });
    page.on("console", (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error}`));
    return page;
  }

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
    await pictured(page, name);
  }

  async function pictured(page, name) {
    if (pictures) await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true, captureBeyondViewport: false });
  }

  return { browser, somebody, inspected, pictured };
}

export const told = (page, name) => page.$eval(`[data-v="${name}"]`, (at) => at.textContent);
export const heading = (page) => page.$eval("h1", (at) => at.textContent);

/** Waits until something is so. */
export async function eventually(what, isSo) {
  for (const end = Date.now() + 30000; ;) {
    const is = await isSo();
    if (is) return is;
    assert.ok(Date.now() < end, `it never came to this: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until a page says something as its heading, by itself. */
export async function becomes(page, text) {
  let says;
  // While a page is being loaded it says nothing.
  const isSo = async () => (says = await heading(page).catch(() => "")) === text;
  await eventually(`a heading of ${text}`, isSo).catch((error) => { throw new Error(`${error.message}; it is ${says}`); });
}

/** The Admin API, by a token. */
export function operator(admin, token) {
  return async function ask(path, method = "GET", body) {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(admin + path, { method, headers, body: body && JSON.stringify(body) });
    const said = await answer.json();
    assert.ok(answer.ok, `${path}: ${JSON.stringify(said)}`);
    return said;
  };
}
