// A site that has a page of its own where people wait, and asks who they are by the npm package `openid-client`; and somebody
// who visits it, in Chromium.
//
// Argument: the client's secret. Says where the site is, hears who the provider is, says that somebody waits, and what came of it.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import * as client from "openid-client";
import puppeteer from "puppeteer-core";

const [secret] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let found, checks, tokens, issuer, site;

/** Joins, waits until it is their turn, and goes back by the provider: as the documentation has it. */
const login = () => `<!doctype html><title>Wait</title><p id="place"></p><script>
const wait = "${new URL("/wait", issuer)}", authorize = "${issuer}/authorize" + location.search;
const ask = async (path, body) => {
  const answer = await fetch(wait + path, body && { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } });
  return { ...(await answer.json()), status: answer.status };
};
(async () => {
  sessionStorage.id ??= (await ask("/assign_queue_num", { event_id: "Sample" })).api_request_id;
  const id = sessionStorage.id;
  for (;;) {
    const [mine, served] = [await ask("/queue_num?event_id=Sample&request_id=" + id), await ask("/serving_num?event_id=Sample")];
    if (mine.status === 200) document.getElementById("place").textContent = mine.queue_number;
    if (mine.status === 200 && Number(served.serving_counter) >= mine.queue_number) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  location.replace(authorize + "&request_id=" + id);
})();
</script>`;

const server = createServer(async (request, response) => {
  const url = new URL(request.url, site);
  const page = (body) => response.setHeader("content-type", "text/html").end(body);
  if (url.pathname === "/login") return page(login());
  if (url.pathname === "/back") {
    tokens = await client.authorizationCodeGrant(found, url, checks).catch((error) => ({ error: String(error) }));
    return page(tokens.error ?? "behind the room");
  }
  const parameters = { redirect_uri: `${site}/back`, scope: "openid", state: checks.expectedState, nonce: checks.expectedNonce };
  response.writeHead(302, { location: client.buildAuthorizationUrl(found, parameters).href }).end();
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
site = `http://127.0.0.1:${server.address().port}`;
console.log(site);
issuer = (await lines.next()).value;
const insecure = { execute: [client.allowInsecureRequests] };
found = await client.discovery(new URL(issuer), "Sample", undefined, client.ClientSecretBasic(secret), insecure);
checks = { expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true };

const complaints = [];
const browser = await puppeteer.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(site);
  await page.waitForFunction(() => document.getElementById("place")?.textContent);
  const joined = await page.evaluate(() => sessionStorage.id);
  const { search } = new URL(page.url());
  const early = await fetch(`${issuer}/authorize${search}&request_id=${joined}`, { redirect: "manual" });
  console.log(`waits at place ${await page.$eval("#place", (at) => at.textContent)}`);
  await page.waitForFunction(() => location.pathname === "/back");
  const shown = await page.$eval("body", (body) => body.textContent);
  const claims = tokens.error ? tokens : tokens.claims();
  console.log(JSON.stringify({ joined, claims, shown, complaints, nonce: checks.expectedNonce, early: early.headers.get("location").split("?")[0] }));
} finally {
  await browser.close();
  server.close();
}
